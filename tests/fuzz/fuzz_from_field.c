/* Property: every domain found is a lower-case host name found once; "one" means one; what an
 * honest writer puts into a quoted name or a comment changes nothing; a second field is always
 * seen. */
#include "auth/from_domains.h"
#include "base/strbuf.h"
#include "protocol/smtp_path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_domains(const struct from_domains *found)
{
    demand(found->count <= FROM_DOMAIN_LIMIT);
    demand((found->why != NULL) >= (found->result == FROM_MALFORMED));
    demand((found->result == FROM_ONE_DOMAIN) <= (found->count == 1));
    demand((found->result == FROM_SEVERAL_DOMAINS) <= (found->count > 1));
    demand((found->result == FROM_NO_DOMAIN) <= (found->count == 0));
    for (size_t i = 0; i < found->count; i++) {
        demand(smtp_domain_is_valid(found->domains[i], false) && found->domains[i].len <= 253);
        for (size_t k = 0; k < found->domains[i].len; k++) {
            char octet = found->domains[i].data[k];

            demand((char)ascii_lower((unsigned char)octet) == octet);
        }
        for (size_t k = 0; k < i; k++) {
            demand(!bytes_equal(found->domains[i], found->domains[k]));
        }
    }
}

/* The input inside a quoted name and a comment, before an address of ours. */
static void check_hidden(struct bytes input, struct arena *arena)
{
    struct from_domains found;
    struct strbuf value;

    strbuf_init(&value, FROM_FIELD_LIMIT);
    for (size_t part = 0; part < 2; part++) {
        strbuf_add_char(&value, part == 0 ? '"' : '(');
        for (size_t i = 0; i < input.len; i++) {
            if (input.data[i] != '\0' && input.data[i] != '\r' && input.data[i] != '\n') {
                strbuf_add_char(&value, '\\');
                strbuf_add_char(&value, input.data[i]);
            }
        }
        strbuf_add_text(&value, part == 0 ? "\" " : ") ");
    }
    strbuf_add_text(&value, "<me@here.example>");
    if (!value.overflowed) {
        demand(from_domains_parse(strbuf_bytes(&value), arena, &found) == FROM_ONE_DOMAIN);
        demand(bytes_equal(found.domains[0], BYTES("here.example")));
    }
    strbuf_clear(&value);
}

static void check_two_fields(struct bytes input, struct arena *arena)
{
    struct from_domains found;
    struct strbuf header;

    strbuf_init(&header, input.len + 64);
    strbuf_add_text(&header, "From: me@here.example\r\nFrom: ");
    strbuf_add(&header, input);
    demand(from_domains_read(strbuf_bytes(&header), arena, &found) == FROM_SEVERAL_FIELDS);
    demand(found.count >= 1 && bytes_equal(found.domains[0], BYTES("here.example")));
    check_domains(&found);
    strbuf_clear(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct arena *arena = arena_new();
    struct from_domains found;

    (void)from_domains_parse(input, arena, &found);
    check_domains(&found);
    check_hidden(input, arena);
    check_two_fields(input, arena);
    arena_free(&arena);
    return 0;
}
