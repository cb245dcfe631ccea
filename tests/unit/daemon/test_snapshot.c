/* One configuration as the rooms want it, and what of it a running daemon keeps. */
#include "support/check.h"

#include "daemon/config_fixed.h"
#include "daemon/snapshot.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char secret_path[64];

static int make_secret(void **state)
{
    int fd;

    (void)state;
    strcpy(secret_path, "/tmp/test-snapshot-XXXXXX");
    fd = mkstemp(secret_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789abcdef\n", 17), 17);
    close(fd);
    return 0;
}

static int remove_secret(void **state)
{
    (void)state;
    return unlink(secret_path);
}

/* A whole configuration with these lines in it. */
static struct config *load(const char *lines)
{
    struct config_errors *errors = config_errors_new();
    struct config *config;
    struct strbuf text, printed;

    strbuf_init(&text, 10000);
    strbuf_init(&printed, 10000);
    strbuf_addf(&text,
                "%s\nhostname mx.example.org\nsrs {\nsecret-file %s\n}\ndomain own.example {\n"
                "forward postmaster to a@x.example\nforward abuse to a@x.example\n}\n",
                lines, secret_path);
    config = config_load_text("test.conf", strbuf_bytes(&text), errors);
    config_errors_print(errors, &printed);
    CHECK_TEXT(lines, strbuf_text(&printed), "");
    config_errors_free(&errors);
    strbuf_clear(&printed);
    strbuf_clear(&text);
    return config;
}

static void test_every_room_gets_its_part(void **state)
{
    struct ip_endpoint listening = {.address = {IP_V4, {192, 0, 2, 1}}, .port = 25};
    struct snapshot *snapshot =
        snapshot_new(load("spool /tmp/s\ndelivery {\nhelo out.example.org\nport 2525\nreuse 7\n"
                          "concurrency 3\n}\nlimits {\nhops 11\nrecipients 12\nerrors 13\n"
                          "connections 14\nper-client 15\nmessage-size 1M\nheader-size 8K\n"
                          "command-timeout 5s\ndata-timeout 6s\nmin-rate 7\n}\n"),
                     &listening, 1);

    (void)state;
    CHECK_BYTES("inbound", snapshot->inbound.hostname, BYTES("mx.example.org"));
    CHECK_TEXT("inbound", snapshot->inbound.spool_directory, "/tmp/s");
    CHECK_INT("inbound", snapshot->inbound.hops, 11);
    CHECK_INT("inbound", snapshot->inbound.recipients, 12);
    CHECK_INT("inbound", snapshot->inbound.errors, 13);
    CHECK_INT("inbound", snapshot->inbound.message_size, 1024 * 1024);
    CHECK_INT("inbound", snapshot->inbound.header_size, 8192);
    CHECK_INT("inbound", snapshot->inbound.command_timeout_ms, 5000);
    CHECK_INT("inbound", snapshot->inbound.data_timeout_ms, 6000);
    CHECK_INT("inbound", snapshot->inbound.min_rate, 7);
    CHECK_BYTES("inbound", snapshot->inbound.routes.srs_domain, BYTES("mx.example.org"));
    CHECK_INT("limits", snapshot->limits.connections, 14);
    CHECK_INT("limits", snapshot->limits.client.sessions, 15);
    CHECK_BYTES("outbound", snapshot->outbound.helo_name, BYTES("out.example.org"));
    CHECK_INT("outbound", snapshot->outbound.reuse_messages, 7);
    CHECK_INT("outbound", snapshot->outbound.next_hops.port, 2525);
    CHECK_INT("queue", snapshot->queue.concurrency, 3);
    CHECK_BYTES("queue", snapshot->queue.bounce_from, BYTES("postmaster@mx.example.org"));
    CHECK_BYTES("one mark for both", snapshot->inbound.loop_secret,
                snapshot->outbound.loop_secret);
    CHECK_TRUE("not the SRS secret itself",
               !bytes_equal(snapshot->inbound.loop_secret, BYTES("0123456789abcdef")));
    CHECK_TRUE("inbound", snapshot->inbound.snapshot == &snapshot->shared);
    CHECK_TRUE("outbound", snapshot->outbound.snapshot == &snapshot->shared);
    CHECK_TRUE("queue", snapshot->queue.snapshot == &snapshot->shared);
    snapshot_drop(&snapshot);
    CHECK_TRUE("dropped", snapshot == NULL);
}

/* Whoever drops it last ends it, the configuration with it (ASan sees both). */
static void test_held_by_a_session(void **state)
{
    struct snapshot *snapshot = snapshot_new(load(""), NULL, 0);
    struct shared *held = &snapshot->shared;
    const struct inbound_options *options = &snapshot->inbound;

    (void)state;
    shared_hold(held);
    snapshot_drop(&snapshot);
    CHECK_BYTES("still there", options->hostname, BYTES("mx.example.org"));
    shared_drop(held);
}

static bool has_own(const struct snapshot *snapshot, const char *text)
{
    const struct next_hop_options *hops = &snapshot->outbound.next_hops;
    struct ip_address wanted;

    assert_true(ip_address_parse(bytes_from_text(text), &wanted));
    for (size_t i = 0; i < hops->own_address_count; i++) {
        if (ip_address_equal(&hops->own_addresses[i].address, &wanted)) {
            return hops->own_addresses[i].port == 25;
        }
    }
    return false;
}

static void test_own_addresses(void **state)
{
    struct ip_endpoint one = {.address = {IP_V4, {192, 0, 2, 1}}, .port = 25};
    struct ip_endpoint any = {.address = {IP_V4, {0}}, .port = 25};
    struct snapshot *snapshot;

    (void)state;
    snapshot = snapshot_new(load(""), &one, 1);
    CHECK_TRUE("named", has_own(snapshot, "192.0.2.1"));
    CHECK_TRUE("others are not ours", !has_own(snapshot, "127.0.0.1"));
    snapshot_drop(&snapshot);
    snapshot = snapshot_new(load(""), &any, 1);
    CHECK_TRUE("a wildcard is every address", has_own(snapshot, "127.0.0.1"));
    snapshot_drop(&snapshot);
}

static void test_source_of_one_family(void **state)
{
    static const struct {
        const char *lines;
        bool use_ipv4, use_ipv6;
    } cases[] = {
        {"", true, true},
        {"delivery {\nsource 192.0.2.1\n}", true, false},
        {"delivery {\nsource 2001:db8::1\n}", false, true},
        {"delivery {\nsource 192.0.2.1 2001:db8::1\n}", true, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct snapshot *snapshot = snapshot_new(load(cases[i].lines), NULL, 0);
        CHECK_INT(cases[i].lines, snapshot->outbound.next_hops.use_ipv4, cases[i].use_ipv4);
        CHECK_INT(cases[i].lines, snapshot->outbound.next_hops.use_ipv6, cases[i].use_ipv6);
        snapshot_drop(&snapshot);
    }
}

static void note_change(void *context, const struct config_option *option)
{
    strbuf_addf(context, "%s ", option->name);
}

/* What needs a restart stays as it is in force, and is named at every reload until then. */
static void test_what_a_reload_cannot_change(void **state)
{
    static const struct {
        const char *lines;
        const char *want;
    } cases[] = {
        {"", ""},
        {"limits {\nhops 50\n}", ""},
        {"spool /tmp/s2", "spool "},
        {"state /tmp/t\nuser someone\ncontrol /tmp/c\nworkers 9",
         "user workers state control "},
        {"listen 127.0.0.1:26", "listen "},
        {"listen 0.0.0.0:25 [::]:26", "listen "},
        {"listen 0.0.0.0:25 [::]:25 {\nproxy-protocol yes\n}\ntrust 10.0.0.1",
         "proxy-protocol "},
        {"resolver 127.0.0.1:53", "resolver "},
        {"limits {\nfree-space 5M\n}", "free-space "},
        {"admin 127.0.0.1:8025", "admin "},
        {"admin unix:/tmp/a", "admin "},
    };
    struct strbuf changes;

    (void)state;
    strbuf_init(&changes, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config *running = load("");
        for (unsigned round = 0; round < 2; round++) {
            struct config *fresh = load(cases[i].lines);
            strbuf_reset(&changes);
            config_keep_fixed(fresh, running, note_change, &changes);
            CHECK_TEXT(cases[i].lines, strbuf_text(&changes), cases[i].want);
            config_free(&running);
            running = fresh;
        }
        CHECK_TEXT(cases[i].lines, running->spool.data, "/var/spool/postilion");
        CHECK_TEXT(cases[i].lines, running->user.data, "postilion");
        CHECK_INT(cases[i].lines, running->workers, 0);
        CHECK_INT(cases[i].lines, running->listen.count, 2);
        CHECK_INT(cases[i].lines, running->listen.items[1].port, 25);
        CHECK_INT(cases[i].lines, running->resolvers.count, 0);
        CHECK_INT(cases[i].lines, running->admin.endpoint.port, 0);
        CHECK_INT(cases[i].lines, running->admin.path.len, 0);
        config_free(&running);
    }
    strbuf_clear(&changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_room_gets_its_part),
        cmocka_unit_test(test_held_by_a_session),
        cmocka_unit_test(test_own_addresses),
        cmocka_unit_test(test_source_of_one_family),
        cmocka_unit_test(test_what_a_reload_cannot_change),
    };

    return cmocka_run_group_tests(tests, make_secret, remove_secret);
}
