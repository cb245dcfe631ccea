/* Ticket keys on a clock that the test turns. */
#include "support/check.h"

#include "../../../src/io/tls_tickets.h"
#include "io/clock.h"
#include "io/tls_context.h"
#include "support/tls_certificates.h"

static uint64_t now_ms = 1000;

uint64_t clock_now_ms(void)
{
    return now_ms;
}

int64_t clock_unix_ms(void)
{
    return (int64_t)now_ms;
}

int64_t clock_unix_seconds(void)
{
    return (int64_t)(now_ms / 1000);
}

static struct test_certificate certificate;
static SSL_CTX *client_context;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **place = SSL_get_app_data(ssl);

    SSL_SESSION_free(*place);
    *place = session;
    return 1;
}

static int set_up(void **state)
{
    (void)state;
    make_certificate(&certificate, "DNS:mx.example", NULL, false, 24);
    client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client_context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_context, keep_session);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    SSL_CTX_free(client_context);
    clear_certificate(&certificate);
    return 0;
}

static SSL_CTX *new_server(struct tls_tickets *tickets, int version)
{
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(server, certificate.x509);
    SSL_CTX_use_PrivateKey(server, certificate.key);
    SSL_CTX_set_max_proto_version(server, version);
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    tls_tickets_use(tickets, server);
    return server;
}

/* Was it resumed? *session becomes what the server gave for the next time. */
static bool connect_again(SSL_CTX *server_context, SSL_SESSION **session)
{
    SSL *client = SSL_new(client_context), *server = SSL_new(server_context);
    BIO *near, *far;
    SSL_SESSION *given = NULL;
    bool is_resumed;
    char octet;

    BIO_new_bio_pair(&near, 0, &far, 0);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_set_app_data(client, &given);
    if (*session != NULL) {
        SSL_set_session(client, *session);
    }
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
    assert_int_equal(SSL_write(server, "x", 1), 1);
    assert_int_equal(SSL_read(client, &octet, 1), 1);
    is_resumed = SSL_session_reused(server);
    assert_int_equal(SSL_session_reused(client), is_resumed);
    if (given == NULL) {
        given = SSL_get1_session(client); /* TLS 1.2 tells nobody of a ticket that is renewed */
    }
    SSL_shutdown(client);
    SSL_free(client);
    SSL_free(server);
    SSL_SESSION_free(*session);
    *session = given;
    return is_resumed;
}

static void test_key_changes(void **state)
{
    static const uint64_t HALF_MS = TLS_TICKET_KEY_SECONDS * 1000 / 2;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct tls_tickets *tickets = tls_tickets_new();
        SSL_CTX *server = new_server(tickets, versions[i]);
        SSL_SESSION *first = NULL, *session = NULL, *copy;

        CHECK_TRUE("new", !connect_again(server, &first));
        session = SSL_SESSION_dup(first);
        CHECK_TRUE("at once", connect_again(server, &session));
        SSL_SESSION_free(session);
        now_ms += HALF_MS + 1;
        session = SSL_SESSION_dup(first);
        CHECK_TRUE("the same key", connect_again(server, &session));
        SSL_SESSION_free(session);
        now_ms +=
            HALF_MS; /* the key is not the first any more: it opens, and the client is given
                              a ticket of the new one */
        session = SSL_SESSION_dup(first);
        CHECK_TRUE("the key before", connect_again(server, &session));
        now_ms += 2 * HALF_MS;
        copy = SSL_SESSION_dup(first);
        CHECK_TRUE("too old", !connect_again(server, &copy));
        SSL_SESSION_free(copy);
        CHECK_TRUE("the renewed one", connect_again(server, &session));
        now_ms += 8 * HALF_MS; /* nobody came for a long time: no key is left of before */
        CHECK_TRUE("after a pause", !connect_again(server, &session));
        SSL_SESSION_free(session);
        SSL_SESSION_free(first);
        SSL_CTX_free(server);
        tls_tickets_drop(&tickets);
    }
}

/* Every loop, and the context after a reload. */
static void test_shared(void **state)
{
    struct tls_tickets *tickets = tls_tickets_new(), *held = tls_tickets_hold(tickets);
    struct tls_tickets *strange = tls_tickets_new();
    SSL_CTX *one = new_server(tickets, TLS1_3_VERSION), *two = new_server(held, TLS1_3_VERSION);
    SSL_CTX *other = new_server(strange, TLS1_3_VERSION);
    SSL_SESSION *session = NULL;

    (void)state;
    CHECK_TRUE("new", !connect_again(one, &session));
    SSL_CTX_free(one);
    tls_tickets_drop(&tickets);
    CHECK_TRUE("dropped", tickets == NULL);
    CHECK_TRUE("by the next", connect_again(two, &session));
    CHECK_TRUE("by a stranger", !connect_again(other, &session));
    SSL_SESSION_free(session);
    SSL_CTX_free(two);
    SSL_CTX_free(other);
    tls_tickets_drop(&held);
    tls_tickets_drop(&strange);
    tls_tickets_drop(&strange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_changes),
        cmocka_unit_test(test_shared),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
