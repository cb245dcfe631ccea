/*
 * Paths: what parses is written and parsed again to the same mailbox, and the written form
 * stays the same from then on; so nobody downstream reads another address than we did.
 */
#include "protocol/smtp_path.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void require_same(const struct smtp_mailbox *a, const struct smtp_mailbox *b)
{
    require(bytes_equal(a->local, b->local) && bytes_equal(a->domain, b->domain));
    require(a->is_literal == b->is_literal && a->is_utf8 == b->is_utf8);
    require(smtp_mailbox_equal(a, b));
}

static void check_path(struct bytes input, bool allow_utf8, struct arena *arena)
{
    struct smtp_mailbox mailbox, again;
    struct strbuf written;
    size_t used = 0;

    if (smtp_path_parse(input, allow_utf8, arena, &mailbox, &used) != SMTP_PATH_OK) {
        return;
    }
    require(used <= input.len && used <= 256 && (allow_utf8 || !mailbox.is_utf8));
    strbuf_init(&written, 1000);
    smtp_path_add(&written, &mailbox);
    require(written.len <= used);
    require(smtp_path_parse(strbuf_bytes(&written), allow_utf8, arena, &again, &used) ==
            SMTP_PATH_OK);
    require(used == written.len);
    require_same(&mailbox, &again);
    strbuf_clear(&written);
}

static void check_mailbox(struct bytes input, bool allow_utf8, struct arena *arena)
{
    struct smtp_mailbox mailbox, again;
    struct strbuf written;

    if (smtp_mailbox_parse(input, allow_utf8, true, arena, &mailbox) != SMTP_PATH_OK) {
        return;
    }
    require(mailbox.is_literal || smtp_domain_is_valid(mailbox.domain, allow_utf8));
    strbuf_init(&written, 2 * input.len + 1000);
    smtp_mailbox_add(&written, &mailbox);
    require(smtp_mailbox_parse(strbuf_bytes(&written), allow_utf8, true, arena, &again) ==
            SMTP_PATH_OK);
    require_same(&mailbox, &again);
    strbuf_clear(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();

    for (int allow_utf8 = 0; allow_utf8 < 2; allow_utf8++) {
        check_path(bytes_of(data, size), allow_utf8, arena);
        check_mailbox(bytes_of(data, size), allow_utf8, arena);
    }
    arena_free(&arena);
    return 0;
}
