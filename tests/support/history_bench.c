/*
 * history_bench - what the history costs the processor, for each message, all its lines together.
 *
 * Usage  history_bench DIRECTORY MESSAGES PER_SECOND    `make history-bench`
 *        Three lines a message, as a session with authentication writes them, go through reading, keys, queue
 *        and disk. PER_SECOND says how many messages stand in a commit.
 */
#include "daemon/event_keys.h"
#include "io/history_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void add_message(struct strbuf *lines, unsigned number)
{
    static const char HEAD[] = "ts=2026-11-22T08:00:00.%03uZ level=info event=";

    strbuf_addf(lines, HEAD, number % 1000);
    strbuf_addf(
        lines,
        "delivered id=5kx%010u from=<sender-%u@from-%u.example> "
        "sender=<SRS0=AB12CD34=7Q=from-%u.example=sender-%u@srs.fwd.example> "
        "to=<target-%u@mail.example> orig_to=<info-%u@fwd.example> status=sent "
        "relay=mx%u.mail.example[192.0.2.%u]:25 tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 "
        "verified=yes dsn=2.0.0 delay=0.31 delays=0.02/0.00/0.11/0.18 attempts=1 "
        "reply=\"250 2.0.0 Ok: queued as 4F3G5H6J7K8M9\"\n",
        number, number, number % 977, number % 977, number, number % 300, number % 300,
        number % 8, number % 250);
    strbuf_addf(lines, HEAD, number % 1000);
    strbuf_addf(
        lines,
        "accepted s=7f3a%08x client=198.51.100.%u id=5kx%010u helo=mail.from-%u.example "
        "tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 from=<sender-%u@from-%u.example> "
        "orig_to=<info-%u@fwd.example> rcpts=1 deliveries=1 how=delivered size=48213 ms=345 "
        "message-id=<%u.%u.JavaMail.app@from-%u.example> spf=pass dkim=pass dmarc=pass "
        "author=from-%u.example arc=none iprev=pass forecast=pass "
        "forecast-why=aligned-dkim manner=as-it-is\n",
        number, number % 250, number, number % 977, number, number % 977, number % 300, number,
        number * 7, number % 977, number % 977);
    strbuf_addf(lines, HEAD, number % 1000);
    strbuf_addf(
        lines,
        "session-end s=7f3a%08x client=198.51.100.%u helo=mail.from-%u.example tls=TLSv1.3 "
        "cipher=TLS_AES_256_GCM_SHA384 messages=1 refused=0 errors=0 ms=612 why=quit\n",
        number, number % 250, number % 977);
}

static double write_all(const char *directory, unsigned messages, unsigned per_second)
{
    static const struct history_settings SETTINGS = {.span_ms = 86400000, .size = 1U << 30};
    struct history *history = history_new(directory, &SETTINGS, event_keys_describe);
    struct history_numbers numbers;
    struct strbuf lines;
    double spent = 0;

    strbuf_init(&lines, HISTORY_QUEUE);
    for (unsigned i = 0; i < messages;) {
        double began;

        strbuf_reset(&lines);
        for (unsigned j = 0; j < per_second; j++) {
            add_message(&lines, i++);
        }
        began = cpu_seconds();
        history_take(history, strbuf_bytes(&lines));
        history_flush(history, 60000);
        spent += cpu_seconds() - began;
    }
    numbers = history_numbers_now(history);
    printf("%llu lines kept, %llu lost, %.0f octets of log a message\n",
           (unsigned long long)numbers.kept, (unsigned long long)numbers.dropped,
           (double)lines.len / per_second);
    history_free(&history);
    strbuf_clear(&lines);
    return spent;
}

static double search_one(const char *directory)
{
    struct history_question question = {.key = {HISTORY_MESSAGE, BYTES("5kx0000000001")}};
    struct history_answer answer;
    struct arena *arena = arena_new();
    struct strbuf why;
    double began = cpu_seconds(), spent;

    strbuf_init(&why, 1000);
    if (!history_search(directory, &question, arena, &answer, &why) || answer.count != 2) {
        printf("the search finds %zu lines\n", answer.count);
    }
    spent = cpu_seconds() - began;
    strbuf_clear(&why);
    arena_free(&arena);
    return spent;
}

int main(int count, char **words)
{
    unsigned messages, per_second;
    double spent;

    if (count != 4) {
        fprintf(stderr, "usage: history_bench DIRECTORY MESSAGES PER_SECOND\n");
        return 64;
    }
    messages = (unsigned)strtoul(words[2], NULL, 10);
    per_second = (unsigned)strtoul(words[3], NULL, 10);
    spent = write_all(words[1], messages, per_second);
    printf("%.1f us of CPU a message at %u a commit\n", spent * 1e6 / messages, per_second);
    printf("%.1f ms to find one of %u messages\n", search_one(words[1]) * 1e3, messages);
    return 0;
}
