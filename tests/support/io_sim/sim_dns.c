/*
 * io/dns_resolver.h on a table of records. Each look-up takes a time drawn from the seed.
 */
#include "io/dns_resolver.h"

#include "base/list.h"
#include "base/memory.h"
#include "sim_internal.h"

#include <stdlib.h>

enum { SIM_DNS_RECORDS = 256, LATENCY_MOST_US = 40 * 1000, TTL_SECONDS = 300 };

struct sim_record {
    const char *name;
    struct dns_record record;
};

static struct {
    struct sim_record records[SIM_DNS_RECORDS];
    size_t count;
    bool is_failing;
} zone;

struct dns_resolver {
    struct event_loop *loop;
    struct dns_resolver_counters counters;
};

struct dns_lookup {
    struct dns_resolver *resolver;
    struct dns_facts *facts;
    bool is_late;
    void (*on_done)(void *context);
    void *context;
    struct sim_event answer;
};

void sim_dns_begin(void)
{
    memset(&zone, 0, sizeof zone);
}

void sim_dns_end(void)
{
}

static struct dns_record *add_record(const char *name, uint16_t type)
{
    struct sim_record *added = &zone.records[zone.count++];

    if (zone.count >= SIM_DNS_RECORDS) {
        abort();
    }
    added->name = name;
    added->record = (struct dns_record){.type = type, .ttl = TTL_SECONDS};
    return &added->record;
}

void sim_dns_add_mx(const char *name, uint16_t preference, const char *host)
{
    struct dns_record *record = add_record(name, DNS_TYPE_MX);

    record->mx.preference = preference;
    record->mx.host = bytes_from_text(host);
}

void sim_dns_add_address(const char *name, const char *address)
{
    struct ip_address parsed;
    struct dns_record *record;

    if (!ip_address_parse(bytes_from_text(address), &parsed)) {
        abort();
    }
    record = add_record(name, parsed.family == IP_V4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
    record->address = parsed;
}

void sim_dns_set_failing(bool is_failing)
{
    zone.is_failing = is_failing;
}

static void answer_question(struct dns_facts *facts, const struct dns_question *question,
                            bool is_late)
{
    struct dns_record found[SIM_DNS_RECORDS];
    struct dns_name name;
    uint16_t type = question->type;
    struct dns_answer answer = {.status = DNS_NXDOMAIN, .ttl = TTL_SECONDS, .records = found};

    dns_name_read(question->name, &name);
    answer.owner = bytes_of(name.octets, name.len);
    for (size_t i = 0; i < zone.count; i++) {
        if (!bytes_equal_nocase(answer.owner, bytes_from_text(zone.records[i].name))) {
            continue;
        }
        if (zone.records[i].record.type == type) {
            found[answer.count++] = zone.records[i].record;
        } else if (answer.status == DNS_NXDOMAIN) {
            answer.status = DNS_NODATA;
        }
    }
    if (answer.count > 0) {
        answer.status = DNS_OK;
    }
    if (zone.is_failing || is_late) {
        answer = (struct dns_answer){.status = DNS_TEMPFAIL,
                                     .why = is_late ? "timeout" : "servfail"};
    }
    dns_facts_put(facts, bytes_of(name.octets, name.len), type, &answer);
}

static void on_answer(void *context)
{
    struct dns_lookup *lookup = context;
    void (*on_done)(void *) = lookup->on_done;
    void *done_context = lookup->context;
    const struct dns_question *wanted;
    size_t count;

    while (wanted = dns_facts_wanted(lookup->facts, &count), count > 0) {
        lookup->resolver->counters.answered++;
        answer_question(lookup->facts, &wanted[0], lookup->is_late);
    }
    free(lookup);
    on_done(done_context);
}

struct dns_resolver *dns_resolver_new(struct event_loop *loop,
                                      const struct dns_resolver_options *options,
                                      struct strbuf *why)
{
    struct dns_resolver *resolver = memory_zero(sizeof *resolver);

    (void)options, (void)why;
    resolver->loop = loop;
    return resolver;
}

void dns_resolver_free(struct dns_resolver **resolver)
{
    free(*resolver);
    *resolver = NULL;
}

struct dns_lookup *dns_lookup_start(struct dns_resolver *resolver, struct dns_facts *facts,
                                    uint64_t deadline_ms, void (*on_done)(void *context),
                                    void *context)
{
    struct dns_lookup *lookup = memory_zero(sizeof *lookup);
    uint64_t delay_us = 50 + sim_random(LATENCY_MOST_US);
    uint64_t now_ms = event_loop_now_ms(resolver->loop);
    uint64_t left_us = deadline_ms > now_ms ? (deadline_ms - now_ms) * 1000 : 0;

    *lookup = (struct dns_lookup){.resolver = resolver,
                                  .facts = facts,
                                  .is_late = delay_us > left_us,
                                  .on_done = on_done,
                                  .context = context};
    lookup->answer =
        (struct sim_event){.loop = resolver->loop, .run = on_answer, .context = lookup};
    sim_event_after(&lookup->answer, lookup->is_late ? left_us : delay_us);
    resolver->counters.asked++;
    return lookup;
}

void dns_lookup_cancel(struct dns_lookup **lookup)
{
    if (*lookup != NULL) {
        sim_event_stop(&(*lookup)->answer);
        free(*lookup);
        *lookup = NULL;
    }
}

/* ---- askers: each question takes its own time ---- */

struct sim_question {
    struct list link;
    struct dns_asker *asker;
    char name[DNS_NAME_LIMIT];
    struct dns_question question;
    bool is_late;
    struct sim_event answer;
};

struct dns_asker {
    struct dns_resolver *resolver;
    struct dns_facts *facts;
    struct list open;
    size_t count;
    void (*on_answers)(void *context);
    void *context;
};

struct dns_asker *dns_asker_new(struct dns_resolver *resolver,
                                void (*on_answers)(void *context), void *context)
{
    struct dns_asker *asker = memory_zero(sizeof *asker);

    asker->resolver = resolver;
    asker->on_answers = on_answers;
    asker->context = context;
    list_init(&asker->open);
    return asker;
}

void dns_asker_free(struct dns_asker **asker)
{
    dns_asker_end(*asker);
    free(*asker);
    *asker = NULL;
}

void dns_asker_begin(struct dns_asker *asker, struct dns_facts *facts)
{
    asker->facts = facts;
}

static void drop_question(struct sim_question *asked)
{
    list_remove(&asked->link);
    asked->asker->count--;
    sim_event_stop(&asked->answer);
    free(asked);
}

void dns_asker_end(struct dns_asker *asker)
{
    while (asker != NULL && !list_is_empty(&asker->open)) {
        drop_question(list_owner(asker->open.next, struct sim_question, link));
    }
}

size_t dns_asker_open(const struct dns_asker *asker)
{
    return asker->count;
}

static void on_asker_answer(void *context)
{
    struct sim_question *asked = context;
    struct dns_asker *asker = asked->asker;

    asker->resolver->counters.answered++;
    answer_question(asker->facts, &asked->question, asked->is_late);
    drop_question(asked);
    asker->on_answers(asker->context);
}

static void ask_question(struct dns_asker *asker, const struct dns_question *question,
                         uint64_t left_us)
{
    struct sim_question *asked = memory_zero(sizeof *asked);
    uint64_t delay_us = 50 + sim_random(LATENCY_MOST_US);

    asked->asker = asker;
    memcpy(asked->name, question->name.data, question->name.len);
    asked->question.name = bytes_of(asked->name, question->name.len);
    asked->question.type = question->type;
    asked->is_late = delay_us > left_us;
    asked->answer = (struct sim_event){
        .loop = asker->resolver->loop, .run = on_asker_answer, .context = asked};
    list_append(&asker->open, &asked->link);
    asker->count++;
    asker->resolver->counters.asked++;
    sim_event_after(&asked->answer, asked->is_late ? left_us : delay_us);
}

bool dns_asker_ask(struct dns_asker *asker, uint64_t deadline_ms)
{
    uint64_t now_ms = event_loop_now_ms(asker->resolver->loop);
    uint64_t left_us = deadline_ms > now_ms ? (deadline_ms - now_ms) * 1000 : 0;
    size_t count;
    const struct dns_question *wanted = dns_facts_wanted(asker->facts, &count);

    while (asker->count < count) {
        ask_question(asker, &wanted[asker->count], left_us);
    }
    return false;
}

struct dns_resolver_counters dns_resolver_count(const struct dns_resolver *resolver)
{
    return resolver->counters;
}
