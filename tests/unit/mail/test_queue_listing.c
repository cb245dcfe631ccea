#include "support/check.h"

#include "mail/message_id.h"
#include "mail/queue_listing.h"
#include "mail/queue_order.h"

enum { ID = 123456789 };

static const struct queue_listing_row ROW = {
    .id = ID,
    .number = 1,
    .created_ms = 1000000,
    .size = 4321,
    .sender = {"s@a.example", 11},
    .recipient = {"r@b.example", 11},
    .alias = {"", 0},
    .destination = {"b.example", 9},
    .attempts = 3,
    .next_attempt_ms = 1000000 + 90 * 60000,
    .last_reply = {"451 \"no\"\x1b[2J \xff \xc3\xa4 \\\xc2\x9b", 21},
};

static void row_as_text(void **state)
{
    struct strbuf out;
    char want[400];

    (void)state;
    strbuf_init(&out, 10000);
    queue_listing_add_row(&out, &ROW, 1000000 + 60000);
    snprintf(
        want, sizeof(want),
        "%s 1m      4321       3     1h29m   <s@a.example> <> -> <r@b.example> at b.example\n"
        "              451 \"no\"\\x1b[2J \\xff \xc3\xa4 \\\\xc2\\x9b\n",
        message_id_text(ID).text);
    CHECK_TEXT("row", strbuf_text(&out), want);
    strbuf_clear(&out);
}

static void row_as_json(void **state)
{
    struct strbuf out;
    char want[600];

    (void)state;
    strbuf_init(&out, 10000);
    queue_listing_add_row_json(&out, &ROW, 1000000 + 60000);
    snprintf(want, sizeof(want),
             "{\"id\":\"%s\",\"number\":1,\"created\":\"1970-01-01T00:16:40.000Z\","
             "\"age_seconds\":60,\"size\":4321,\"sender\":\"s@a.example\",\"alias\":\"\","
             "\"recipient\":\"r@b.example\",\"destination\":\"b.example\",\"state\":\"due\","
             "\"attempts\":3,\"next_attempt\":\"1970-01-01T01:46:40.000Z\","
             "\"last_reply\":\"451 \\\"no\\\"\\u001b[2J \xef\xbf\xbd \xc3\xa4 \\\\\\u009b\"}\n",
             message_id_text(ID).text);
    CHECK_TEXT("row", strbuf_text(&out), want);
    strbuf_clear(&out);
}

static void message_as_json(void **state)
{
    struct queue_listing_message message = {
        .id = ID, .size = 1, .client_ip = BYTES("192.0.2.1")};
    struct queue_listing_row rows[] = {ROW, ROW};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    queue_listing_add_message_json(&out, &message, rows, 2, 0);
    CHECK_TRUE("two deliveries in a list", strstr(strbuf_text(&out), "},{\"id\":") != NULL);
    CHECK_TRUE("one line", strchr(strbuf_text(&out), '\n') == out.data + out.len - 1);
    CHECK_TRUE("end", bytes_ends_with_nocase(strbuf_bytes(&out), BYTES("}]}\n")));
    strbuf_clear(&out);
}

static void next_attempt(void **state)
{
    struct queue_listing_row row = ROW;
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    row.is_held = true;
    queue_listing_add_row(&out, &row, 0);
    CHECK_TRUE("held", strstr(strbuf_text(&out), " held ") != NULL);
    strbuf_reset(&out);
    row.is_held = false;
    queue_listing_add_row(&out, &row, row.next_attempt_ms);
    CHECK_TRUE("now", strstr(strbuf_text(&out), " now ") != NULL);
    strbuf_reset(&out);
    queue_listing_add_row(&out, &row, row.created_ms + 50 * INT64_C(3600000));
    CHECK_TRUE("age", strstr(strbuf_text(&out), " 2d02h ") != NULL);
    strbuf_clear(&out);
}

static void orders(void **state)
{
    const struct {
        const char *line, *again; /* NULL: refused */
    } cases[] = {
        {"queue list", "queue list\n"},
        {"queue  list json", "queue list --json\n"},
        {"queue --json list", "queue list --json\n"},
        {"queue retry all", "queue retry --all\n"},
        {"queue retry gmail.example", "queue retry --destination gmail.example\n"},
        {"queue delete --all", "queue delete --all\n"},
        {"queue hold --sender <> --recipient a@b --destination d",
         "queue hold --sender <> --recipient <a@b> --destination d\n"},
        {"queue bounce --sender a@b", "queue bounce --sender <a@b>\n"},
        {"queue list --held --limit 20 --after 00000003nqk8n/3 --sender <a@b>",
         "queue list --held --sender <a@b> --limit 20 --after 00000003nqk8n/3\n"},
        {"queue list --after 00000003nqk8n", "queue list --after 00000003nqk8n/4294967295\n"},
        {"queue list --by-domain --json --limit 5",
         "queue list --by-domain --limit 5 --json\n"},
        {"queue release 00000003nqk8n", "queue release 00000003nqk8n\n"},
        {"queue list --limit 0", NULL},
        {"queue list --limit x", NULL},
        {"queue list --after 00000003nqk8n/x", NULL},
        {"queue list --after", NULL},
        {"queue list --frob 1", NULL},
        {"queue list --by-domain --held", NULL},
        {"queue show --by-domain 00000003nqk8n", NULL},
        {"queue show --all", NULL},
        {"queue delete 00000003nqk8n --all", NULL},
        {"queue delete 00000003nqk8n 00000003nqk8n", NULL},
        {"queue delete --limit 3 --all", NULL},
        {"queue hold --recipient <>", NULL},
        {"queue hold gmail.example", NULL},
        {"queue delete all", NULL},
        {"queue delete gmail.example", NULL},
        {"queue delete", NULL},
        {"queue list more", NULL},
        {"queue", NULL},
        {"", NULL},
        {"status", NULL},
        {"queue list a b c d e f g h i j", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct queue_order order;
        struct strbuf out;
        const char *why = NULL;
        bool parsed = queue_order_parse_line(bytes_from_text(cases[i].line), &order, &why);

        CHECK_INT(cases[i].line, parsed, cases[i].again != NULL);
        if (!parsed) {
            CHECK_TRUE(cases[i].line, why != NULL);
            continue;
        }
        strbuf_init(&out, QUEUE_ORDER_LINE_LIMIT);
        queue_order_write(&out, &order);
        CHECK_TEXT(cases[i].line, strbuf_text(&out), cases[i].again);
        strbuf_clear(&out);
    }
}

static void filters(void **state)
{
    const struct queue_order_row row = {
        .sender = BYTES("SRS0=ABCDEFGH=AB=Far.example=who=x@here.example"),
        .recipient = BYTES("r@there.example"),
        .alias = BYTES("a@here.example"),
        .destination = BYTES("mx.example")};
    const struct {
        const char *name, *line;
        bool want;
    } cases[] = {
        {"all", "queue list", true},
        {"the sender inside", "queue list --sender who=x@far.example", true},
        {"the sender outside",
         "queue list --sender SRS0=ABCDEFGH=AB=far.example=who=x@here.example", true},
        {"another", "queue list --sender who@far.example", false},
        {"null", "queue list --sender <>", false},
        {"next hop's recipient", "queue list --recipient R@THERE.example", true},
        {"alias", "queue list --recipient a@here.example", true},
        {"neither", "queue list --recipient b@here.example", false},
        {"destination", "queue list --destination MX.example", true},
        {"not its end", "queue list --destination example", false},
        {"both", "queue list --destination mx.example --recipient a@here.example", true},
        {"one of two", "queue list --destination mx.example --recipient b@here.example", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct queue_order order;
        const char *why = NULL;

        CHECK_TRUE(cases[i].name,
                   queue_order_parse_line(bytes_from_text(cases[i].line), &order, &why));
        CHECK_INT(cases[i].name, queue_order_matches(&order, &row), cases[i].want);
    }
}

static void senders_in_srs(void **state)
{
    const struct {
        const char *sender, *wanted;
        bool want;
    } cases[] = {
        {"SRS1=ABCD=second.example==XYZW=AB=far.example=who@here.example", "who@far.example",
         true},
        {"SRS1=ABCD=second.example==XYZW=AB=far.example=who@here.example", "x@second.example",
         false},
        {"srs0+ABCD=AB=far.example=who@here.example", "who@far.example", true},
        {"SRS0=ABCD=AB==TOKEN@here.example", "TOKEN@", false},
        {"SRS0=ABCD@here.example", "who@far.example", false},
        {"SRS0=@here.example", "@", false},
        {"SRS1=ABCD=@here.example", "who@far.example", false},
        {"SRS0=ABCD=AB=far.example=who", "who@far.example", false},
        {"", "", true},
        {"who@far.example", "WHO@far.example", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct queue_order order = {.has_sender = true,
                                    .sender = bytes_from_text(cases[i].wanted)};
        struct queue_order_row row = {.sender = bytes_from_text(cases[i].sender)};

        CHECK_INT(cases[i].sender, queue_order_matches(&order, &row), cases[i].want);
    }
}

static void words_no_line_can_carry(void **state)
{
    struct queue_order order = {
        .kind = QUEUE_LIST, .has_sender = true, .sender = BYTES("\"a b\"@far.example")};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, QUEUE_ORDER_LINE_LIMIT);
    CHECK_INT("blank", queue_order_write(&out, &order), false);
    order.sender = BYTES("a\n@far.example");
    CHECK_INT("line end", queue_order_write(&out, &order), false);
    strbuf_clear(&out);
}

static void message_with_history(void **state)
{
    const struct queue_listing_attempt attempts[] = {
        {1, 1000, BYTES("mx.example"), BYTES("450 later")},
        {1, 61000, BYTES(""), BYTES("no\r address")},
    };
    struct queue_listing_row rows[] = {{.id = 7, .number = 0}, {.id = 7, .number = 1}};
    struct queue_listing_message message = {
        .id = 7,
        .prefix = BYTES("Received: by us\r\nAuthentication-Results: us;\r\n spf=pass\r\n"),
        .attempts = attempts,
        .attempt_count = 2};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 10000);
    queue_listing_add_message(&out, &message, rows, 2, 0);
    CHECK_TRUE("results", strstr(strbuf_text(&out), "results   us; spf=pass\n") != NULL);
    CHECK_TRUE("first",
               strstr(strbuf_text(&out), "00:00:01.000Z mx.example: 450 later\n") != NULL);
    CHECK_TRUE("escaped", strstr(strbuf_text(&out), "-: no\\x0d address\n") != NULL);
    strbuf_reset(&out);
    queue_listing_add_message_json(&out, &message, rows, 2, 0);
    CHECK_TRUE("results", strstr(strbuf_text(&out), "\"results\":[\"us; spf=pass\"]") != NULL);
    CHECK_TRUE("none of the first", strstr(strbuf_text(&out), "\"history\":[]}") != NULL);
    CHECK_TRUE("history", strstr(strbuf_text(&out),
                                 "\"host\":\"mx.example\",\"reply\":\"450 later\"},{") != NULL);
    strbuf_clear(&out);
}

static void hint_that_can_be_typed(void **state)
{
    static const struct {
        const char *name;
        struct bytes recipient, sender;
        uint32_t attempts;
        const char *want; /* or NULL: none */
    } cases[] = {
        {"deferred", BYTES("a+b@mx.example"), BYTES("s@x.example"), 1,
         ": postilion probe a+b@mx.example\n"},
        {"a bounce", BYTES("a@mx.example"), BYTES(""), 2,
         ": postilion probe a@mx.example --from '<>'\n"},
        {"not tried yet", BYTES("a@mx.example"), BYTES("s@x.example"), 0, NULL},
        {"a command", BYTES("`id`@mx.example"), BYTES("s@x.example"), 1, NULL},
        {"an option", BYTES("--data@mx.example"), BYTES("s@x.example"), 1, NULL},
        {"a blank", BYTES("\"a b\"@mx.example"), BYTES("s@x.example"), 1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct queue_listing_row row = {.id = 7,
                                        .recipient = cases[i].recipient,
                                        .sender = cases[i].sender,
                                        .attempts = cases[i].attempts};
        struct queue_listing_message message = {.id = 7};
        struct strbuf out;

        strbuf_init(&out, 10000);
        queue_listing_add_message(&out, &message, &row, 1, 0);
        CHECK_INT(cases[i].name, strstr(strbuf_text(&out), "postilion probe") != NULL,
                  cases[i].want != NULL);
        CHECK_TRUE(cases[i].name,
                   cases[i].want == NULL || strstr(strbuf_text(&out), cases[i].want) != NULL);
        strbuf_clear(&out);
    }
}

static void order_with_an_id(void **state)
{
    struct queue_order order;
    const char *why = NULL;
    char line[60], again[70];
    struct strbuf out;

    (void)state;
    snprintf(line, sizeof(line), "queue show %s --json", message_id_text(ID).text);
    snprintf(again, sizeof(again), "%s\n", line);
    CHECK_TRUE("parsed", queue_order_parse_line(bytes_from_text(line), &order, &why));
    CHECK_INT("kind", order.kind, QUEUE_SHOW);
    CHECK_INT("id", order.id, ID);
    strbuf_init(&out, QUEUE_ORDER_LINE_LIMIT);
    queue_order_write(&out, &order);
    CHECK_TEXT("again", strbuf_text(&out), again);
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_as_text),
        cmocka_unit_test(row_as_json),
        cmocka_unit_test(message_as_json),
        cmocka_unit_test(next_attempt),
        cmocka_unit_test(orders),
        cmocka_unit_test(order_with_an_id),
        cmocka_unit_test(filters),
        cmocka_unit_test(senders_in_srs),
        cmocka_unit_test(words_no_line_can_carry),
        cmocka_unit_test(message_with_history),
        cmocka_unit_test(hint_that_can_be_typed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
