/*
 * Who is to get an accepted message: all targets of all its recipients, each address once.
 */
#include "inbound_session.h"

#include "auth/idn_domain.h"

/* The same for all ways to write one delivery: the case of a domain means nothing. */
static void add_delivery_key(struct strbuf *key, const struct smtp_mailbox *target,
                             struct bytes sender)
{
    strbuf_add(key, target->local);
    strbuf_add_char(key, '\0');
    strbuf_add_lower(key, target->domain);
    strbuf_add_char(key, '\0');
    strbuf_add(key, sender);
}

/* An address as it is sent to: its domain in the form that next hops without SMTPUTF8 take, too. */
static struct smtp_mailbox with_ascii_domain(const struct smtp_mailbox *target,
                                             struct arena *arena)
{
    struct smtp_mailbox mailbox = *target;

    if (!bytes_is_ascii(target->domain) &&
        !idn_domain_to_ascii(target->domain, arena, &mailbox.domain)) {
        mailbox.domain = target->domain; /* DNS will say what it thinks of it */
    }
    return mailbox;
}

/* Of several addresses behind one alias the first alone is to report success: the sender asked for one
 * report (RFC 3461 §5.2.7.3). */
static unsigned notify_of(const struct inbound_recipient *recipient, bool is_first)
{
    return is_first ? recipient->notify : dsn_notify_without_success(recipient->notify);
}

/* Adds one delivery unless the same address with the same sender is there already. */
static void add_delivery(struct inbound_session *session, struct hash_table *known,
                         const struct inbound_recipient *recipient, size_t index,
                         struct queue_recipient *delivery, size_t *count)
{
    struct arena *arena = session->transaction.arena;
    struct smtp_mailbox address = with_ascii_domain(&recipient->route.targets[index], arena);
    const struct smtp_mailbox *target = &address;
    unsigned notify = notify_of(recipient, index == 0);
    struct queue_recipient *same;
    struct strbuf text;

    strbuf_init(&text, 2048);
    add_delivery_key(&text, target, recipient->plan.sender);
    same = hash_table_get(known, strbuf_bytes(&text));
    if (same != NULL) {
        same->notify = dsn_notify_both(same->notify, notify);
    } else {
        hash_table_put(known, arena_copy(arena, strbuf_bytes(&text)), delivery);
        strbuf_reset(&text);
        smtp_mailbox_add(&text, target);
        *delivery = (struct queue_recipient){
            .address = arena_copy(arena, strbuf_bytes(&text)),
            .destination = delivery_route_destination(session->options->delivery_routes,
                                                      target->domain, arena),
            .alias = recipient->route.alias,
            .sender = recipient->plan.sender,
            .notify = notify,
            .orcpt = recipient->orcpt,
            .fallback = recipient->route.fallbacks == NULL ? BYTES("")
                                                           : recipient->route.fallbacks[index],
        };
        ++*count;
    }
    strbuf_clear(&text);
}

struct queue_recipient *inbound_gather_deliveries(struct inbound_session *session,
                                                  size_t *count)
{
    struct inbound_transaction *transaction = &session->transaction;
    struct hash_table *known = hash_table_new(session->server->hash_key);
    struct queue_recipient *deliveries;
    size_t most = 0;

    for (size_t i = 0; i < transaction->recipient_count; i++) {
        most += transaction->recipients[i].route.target_count;
    }
    deliveries = arena_alloc(transaction->arena, (most + 1) * sizeof *deliveries);
    *count = 0;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct inbound_recipient *recipient = &transaction->recipients[i];
        if (recipient->route.kind == ROUTE_DISCARD) {
            inbound_log_recipient(session, recipient, "discarded");
            continue;
        }
        for (size_t t = 0; t < recipient->route.target_count; t++) {
            add_delivery(session, known, recipient, t, &deliveries[*count], count);
        }
    }
    hash_table_free(&known);
    return deliveries;
}
