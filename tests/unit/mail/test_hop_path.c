#include "support/check.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "mail/hop_path.h"

#include <stdlib.h>

static struct arena *arena;
static struct hop_path *path;

static void read_path(const char *header)
{
    hop_path_read(bytes_from_text(header), arena, path);
}

/* clang-format off */
static const struct {
    const char *name, *field;
    const char *from, *address, *by, *protocol, *id, *recipient;
} fields[] = {
    {"Postfix", "from a.example (mail.a.example [192.0.2.1])\r\n\t(using TLSv1.3 with cipher X (256/256 bits))\r\n\tby mx.example (Postfix) with ESMTPS id 4ABC\r\n\tfor <anna@mx.example>; 1 Jan 2024 00:00:00 +0000",
     "a.example", "mail.a.example [192.0.2.1]", "mx.example", "ESMTPS", "4ABC", "anna@mx.example"},
    {"Exim", "from [192.0.2.1] (helo=a.example) by mx.example with esmtp (Exim 4.96) (envelope-from <x@a.example>) id 1abc-2 for anna@mx.example; 1 Jan 2024 00:00:00 +0000",
     "[192.0.2.1]", "helo=a.example", "mx.example", "esmtp", "1abc-2", "anna@mx.example"},
    {"Exchange", "from A.example (192.0.2.1) by B.example (192.0.2.2) with Microsoft SMTP Server (version=TLS1_2) id 15.20; Mon, 1 Jan 2024 00:00:00 +0000",
     "A.example", "192.0.2.1", "B.example", "Microsoft", "15.20", ""},
    {"Gmail inside", "by 2002:a05:6402:1 with SMTP id x12csp;\r\n        Mon, 1 Jan 2024 00:00:00 -0800 (PST)",
     "", "", "2002:a05:6402:1", "SMTP", "x12csp", ""},
    {"qmail", "(qmail 123 invoked by uid 89); 1 Jan 2024 00:00:00 -0000", "", "", "", "", "", ""},
    {"sendmail puts one comment into another", "from a.example (b.example [192.0.2.1] (may be forged)) by mx.example; 1 Jan 2024 00:00:00 +0000",
     "a.example", "b.example [192.0.2.1] (may be forged)", "mx.example", "", "", ""},
    {"a comment without an end", "from a.example (b.example by mx.example; 1 Jan 2024 00:00:00 +0000", "a.example", "b.example by mx.example; 1 Jan 2024 00:00:00 +0000", "", "", "", ""},
    {"clauses without a word", "from by; 1 Jan 2024 00:00:00 +0000", "by", "", "", "", "", ""},
    {"nothing", "", "", "", "", "", "", ""},
};
/* clang-format on */

static void test_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const char *name = fields[i].name;
        char header[1000];

        snprintf(header, sizeof header, "Received: %s\r\n", fields[i].field);
        read_path(header);
        CHECK_INT(name, path->count, 1);
        CHECK_BYTES(name, path->hops[0].from, bytes_from_text(fields[i].from));
        CHECK_BYTES(name, path->hops[0].address, bytes_from_text(fields[i].address));
        CHECK_BYTES(name, path->hops[0].by, bytes_from_text(fields[i].by));
        CHECK_BYTES(name, path->hops[0].protocol, bytes_from_text(fields[i].protocol));
        CHECK_BYTES(name, path->hops[0].id, bytes_from_text(fields[i].id));
        CHECK_BYTES(name, path->hops[0].recipient, bytes_from_text(fields[i].recipient));
    }
}

static void test_times(void **state)
{
    (void)state;
    read_path("Received: by c.example; 1 Jan 2024 01:02:10 +0100\r\n"
              "Received: by lost.example; some day\r\n"
              "Received: by b.example; 31 Dec 2023 19:00:10 -0500\r\n"
              "Received: by a.example; 1 Jan 2024 00:00:20 +0000\r\n"
              "Date: 1 Jan 2024 00:00:00 +0000\r\n");
    CHECK_INT("hops", path->count, 4);
    CHECK_BYTES("oldest first", path->hops[0].by, BYTES("a.example"));
    CHECK_TRUE("the first has none before it", !path->hops[0].has_delay);
    CHECK_INT("a clock is wrong", path->hops[1].delay_seconds, -10);
    CHECK_INT("that is counted", path->skewed, 1);
    CHECK_TRUE("a date nobody can read", !path->hops[2].has_time && !path->hops[2].has_delay);
    CHECK_INT("since the last known", path->hops[3].delay_seconds, 120);
    CHECK_INT("slowest", path->slowest, 3);
    CHECK_INT("in all", path->total_seconds, 110);
    CHECK_TRUE("written", path->has_written && path->written_seconds == 1704067200);
}

static void test_where_a_proof_broke(void **state)
{
    (void)state;
    read_path("Authentication-Results: c.example; dkim=fail header.d=a.example; spf=pass "
              "smtp.mailfrom=srs.b.example\r\n"
              "Received: by mx.c.example; 1 Jan 2024 00:00:03 +0000\r\n"
              "ARC-Authentication-Results: i=1; b.example; dkim=pass header.d=a.example; "
              "spf=pass smtp.mailfrom=x@a.example\r\n"
              "Received: by mx.b.example; 1 Jan 2024 00:00:02 +0000\r\n"
              "Authentication-Results: b.example; dkim=pass header.d=other.example\r\n"
              "Received: by a.example; 1 Jan 2024 00:00:01 +0000\r\n");
    CHECK_INT("verdicts", path->verdict_count, 5);
    CHECK_BYTES("beneath its own field", path->verdicts[0].identity, BYTES("other.example"));
    CHECK_INT("but of the same server", path->verdicts[0].hop, 1);
    CHECK_INT("ARC", path->verdicts[1].arc_instance, 1);
    for (size_t i = 0; i < path->verdict_count; i++) {
        bool is_it = bytes_equal(path->verdicts[i].result, BYTES("fail"));

        CHECK_INT("broken", path->verdicts[i].is_broken, is_it);
        CHECK_TRUE("at the last hop", !is_it || path->verdicts[i].hop == 2);
    }
}

static void test_limits(void **state)
{
    struct strbuf header;

    (void)state;
    strbuf_init(&header, 1000000);
    for (int i = 0; i < HOP_LIMIT + 7; i++) {
        strbuf_addf(&header, "Received: by h%d.example; 1 Jan 2024 00:00:00 +0000\r\n", i);
        strbuf_add_text(&header, "Authentication-Results: x; a=pass; b=pass\r\n");
    }
    read_path(strbuf_text(&header));
    CHECK_INT("hops", path->count, HOP_LIMIT);
    CHECK_INT("left out", path->left_out, 7);
    CHECK_BYTES("the newest stay", path->hops[HOP_LIMIT - 1].by, BYTES("h0.example"));
    CHECK_INT("verdicts", path->verdict_count, HOP_VERDICT_LIMIT);
    strbuf_clear(&header);
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    path = memory_zero(sizeof *path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    free(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_where_a_proof_broke),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
