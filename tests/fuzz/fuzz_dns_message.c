/*
 * Answers from anybody: every view lies in the arena, nothing is longer than it may be, the
 * same octets give the same answer, and the names in it are in their normal form.
 *
 * Input   one octet for the type, then the message. The question asked is taken from the
 * message, so that the fuzzer gets behind the comparison.
 */
#include "protocol/dns_message.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct bytes name)
{
    struct dns_name again;

    assert(name.len <= DNS_NAME_LIMIT);
    assert(dns_name_read(name, &again));
    assert(bytes_equal(bytes_of(again.octets, again.len), name));
}

static void check_record(const struct dns_record *record, size_t size)
{
    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        assert(record->address.family == IP_V4 || record->address.family == IP_V6);
        break;
    case DNS_TYPE_MX:
        check_name(record->mx.host);
        break;
    case DNS_TYPE_TXT:
        assert(record->text.len <= size);
        break;
    case DNS_TYPE_NS:
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        check_name(record->name);
        break;
    default:
        assert(record->rdata.len <= size);
        break;
    }
}

static void check_answer(const struct dns_answer *answer, uint16_t type, size_t size)
{
    assert(answer->count <= DNS_RECORD_LIMIT);
    assert((answer->status == DNS_OK) == (answer->count > 0));
    assert((answer->status == DNS_TEMPFAIL) == (answer->why != NULL));
    assert(answer->ttl <= INT32_MAX);
    check_name(answer->owner);
    for (size_t i = 0; i < answer->count; i++) {
        assert(answer->records[i].type == type);
        assert(answer->records[i].ttl >= answer->ttl);
        check_record(&answer->records[i], size);
    }
}

/* Reads a copy that is given back at once: ASan finds views into the message. */
static char *read_and_copy(const uint8_t *data, size_t size, struct bytes name, uint16_t type,
                           struct arena *arena, struct dns_answer *copy)
{
    uint8_t *message = malloc(size);
    struct dns_answer answer;
    char *memory;

    memcpy(message, data, size);
    dns_answer_read(bytes_of(message, size), name, type, arena, &answer);
    free(message);
    check_answer(&answer, type, size);
    memory = malloc(dns_answer_size(&answer) + 1);
    dns_answer_copy(&answer, memory, copy);
    return memory;
}

/* The name in the question, as text with every octet escaped that might be special. */
static void take_question(const uint8_t *data, size_t size, struct strbuf *name)
{
    size_t at = 12;

    while (at < size && data[at] > 0 && data[at] < 64 && at + data[at] < size) {
        for (unsigned i = 1; i <= data[at]; i++) {
            strbuf_addf(name, "\\%03u", data[at + i]);
        }
        strbuf_add_char(name, '.');
        at += 1u + data[at];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t types[] = {DNS_TYPE_A,   DNS_TYPE_NS,   DNS_TYPE_CNAME,
                                     DNS_TYPE_SOA, DNS_TYPE_PTR,  DNS_TYPE_MX,
                                     DNS_TYPE_TXT, DNS_TYPE_AAAA, DNS_TYPE_TLSA};
    struct arena *arena = arena_new();
    struct dns_answer first, second;
    struct strbuf name;
    char *first_memory, *second_memory;
    uint16_t type;

    if (size < 1 || size > 65536) {
        arena_free(&arena);
        return 0;
    }
    type = types[data[0] % (sizeof types / sizeof types[0])];
    strbuf_init(&name, 4096);
    take_question(data + 1, size - 1, &name);
    first_memory = read_and_copy(data + 1, size - 1, strbuf_bytes(&name), type, arena, &first);
    second_memory =
        read_and_copy(data + 1, size - 1, strbuf_bytes(&name), type, arena, &second);
    assert(first.status == second.status && first.count == second.count);
    assert(first.ttl == second.ttl && first.why == second.why);
    assert(bytes_equal(first.owner, second.owner));
    free(first_memory);
    free(second_memory);
    strbuf_clear(&name);
    arena_free(&arena);
    return 0;
}
