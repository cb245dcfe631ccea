/*
 * What who watches a delivery sees of it.
 */
#include "delivery_world.h"

#include "base/strbuf.h"

struct seen {
    struct strbuf text; /* a line for each note */
    struct ip_endpoint only;
    size_t hops;
};

static void note(void *context, enum connection_note what,
                 const struct next_hop_connection *connection, struct bytes octets)
{
    static const char *const names[] = {"begun",   "connected", "> ",     "< ",
                                        "secured", "content",   "broken", "ended"};
    struct seen *seen = context;

    (void)connection;
    if (octets.len == 0) {
        strbuf_addf(&seen->text, "%s\n", names[what]);
    }
    while (octets.len > 0) {
        struct bytes line = bytes_trim(bytes_cut(&octets, '\n'));

        strbuf_addf(&seen->text, "%s" BYTES_FMT "\n", names[what], BYTES_ARG(line));
    }
}

static void on_hops(void *context, const struct next_hop_list *list)
{
    struct seen *seen = context;

    seen->hops = list->count;
}

static bool may_try(void *context, const struct next_hop *hop)
{
    const struct seen *seen = context;

    return seen->only.port == 0 ||
           (hop->endpoint.port == seen->only.port &&
            ip_address_equal(&hop->endpoint.address, &seen->only.address));
}

static struct delivery_watch watch_of(struct seen *seen)
{
    strbuf_init(&seen->text, 100000);
    return (struct delivery_watch){.context = seen,
                                   .on_hops = on_hops,
                                   .may_try = may_try,
                                   .connection = {.context = seen, .note = note}};
}

static void test_a_message(void **state)
{
    struct hop_script script = {.ehlo = "250-hop\r\n250 PIPELINING\r\n"};
    struct seen seen = {.hops = 0};
    struct delivery_watch watch = watch_of(&seen);
    struct world world;

    (void)state;
    world_init(&world);
    world.options.reuse_messages = 0;
    world.request.watch = &watch;
    add_hop(&world, &script, 1);
    deliver(&world);
    delivery_attempt_finish(&world.attempt);
    CHECK_INT("hops", seen.hops, 1);
    CHECK_BYTES(
        "all of it", strbuf_bytes(&seen.text),
        BYTES("begun\nconnected\n< 220 hop.example ESMTP\n> EHLO mx.example.org\n< 250-hop\n"
              "< 250 PIPELINING\n> MAIL FROM:<s@example.org>\n> RCPT TO:<one@d.example>\n"
              "> DATA\n< 250 2.1.0 ok\n< 250 2.1.5 ok\n< 354 go\ncontent\n"
              "< 250 2.0.0 taken\n> QUIT\nended\n"));
    strbuf_clear(&seen.text);
    world_clear(&world);
}

static void test_what_is_no_reply_is_shown(void **state)
{
    struct hop_script script = {.banner = "SSH-2.0-server\r\n"};
    struct seen seen = {.hops = 0};
    struct delivery_watch watch = watch_of(&seen);
    struct world world;

    (void)state;
    world_init(&world);
    world.request.watch = &watch;
    add_hop(&world, &script, 1);
    deliver(&world);
    CHECK_BYTES("all of it", strbuf_bytes(&seen.text),
                BYTES("begun\nconnected\n< SSH-2.0-server\nbroken\nended\n"));
    strbuf_clear(&seen.text);
    world_clear(&world);
}

static void test_only_the_host_that_was_chosen(void **state)
{
    struct seen seen = {.hops = 0};
    struct delivery_watch watch = watch_of(&seen);
    struct world world;

    (void)state;
    world_init(&world);
    add_hop(&world, &usual, 1);
    add_hop(&world, &usual, 1);
    seen.only = (struct ip_endpoint){world.route.hops[1].address, world.route.hops[1].port};
    world.request.watch = &watch;
    deliver(&world);
    CHECK_INT("hops", seen.hops, 2);
    CHECK_INT("not the first", world.hops[0].connections, 0);
    CHECK_INT("the second", world.hops[1].connections, 1);
    strbuf_clear(&seen.text);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message),
        cmocka_unit_test(test_what_is_no_reply_is_shown),
        cmocka_unit_test(test_only_the_host_that_was_chosen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
