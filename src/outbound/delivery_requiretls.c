/*
 * Mail whose sender said REQUIRETLS (RFC 8689 §4.2.1): who may have it, and what it comes to when nobody
 * does. Hosts that cannot have it are well all the same: their other mail is not held up.
 */
#include "delivery_state.h"

bool delivery_is_strict(const struct delivery_attempt *attempt)
{
    /* §5: a bounce is rather sent less protected than lost. */
    return attempt->request.requires_tls && attempt->request.sender.len > 0;
}

bool delivery_may_have_it(const struct delivery_attempt *attempt,
                          const struct next_hop_connection *connection)
{
    return !delivery_is_strict(attempt) ||
           (connection->tls.is_verified &&
            next_hop_connection_extensions(connection)->requiretls);
}

/* What one message wants beyond the others is no trouble of the destination: permanent, this class of
 * trouble pauses nothing. */
static struct delivery_result refusal(const char *enhanced, const char *text)
{
    struct delivery_result result = delivery_result_of_announcement(enhanced, text);

    result.trouble = DELIVERY_TROUBLE_TLS;
    return result;
}

/* A certificate is for a name: somebody must have vouched that it is the right one. */
static bool has_vouched_hosts(const struct delivery_attempt *attempt)
{
    return attempt->hops->list.is_mx_secure ||
           delivery_route_is_static_key(attempt->request.destination);
}

bool delivery_may_set_out(struct delivery_attempt *attempt)
{
    if (!delivery_is_strict(attempt)) {
        return true;
    }
    if (attempt->options.tls_context == NULL) {
        attempt->trouble = refusal("5.7.10", "REQUIRETLS, and TLS is off here");
        return false;
    }
    if (!has_vouched_hosts(attempt)) {
        attempt->trouble = refusal(
            "5.7.30", "REQUIRETLS, and the names of the mail hosts are not signed by DNSSEC");
        return false;
    }
    return true;
}

struct delivery_result delivery_trouble_without_requiretls(void)
{
    return refusal("5.7.30", "REQUIRETLS, and the next hop does not offer it");
}

struct delivery_result delivery_trouble_of_connection(const struct delivery_attempt *attempt)
{
    const struct next_hop_connection *connection = attempt->connection;

    if (delivery_is_strict(attempt) && connection->is_tls_missing &&
        !next_hop_connection_extensions(connection)->starttls) {
        return refusal("5.7.10", "REQUIRETLS, and the next hop does not offer TLS");
    }
    return delivery_result_of_fault(connection, attempt->arena);
}
