/*
 * dns_channel - one c-ares channel on an event loop: octets out, octets in.
 *
 * Answers  on_answer runs once for every message sent: from the loop, or from inside
 *          dns_channel_send when it fails at once, or from inside dns_channel_free. It may not
 *          send or free: a channel must never be ended, and need not grow, in a callback.
 * EDNS     c-ares turns EDNS off for the whole channel when a server answers FORMERR once;
 *          dns_channel_has_edns tells, and the owner makes a new channel.
 */
#ifndef IO_DNS_CHANNEL_H
#define IO_DNS_CHANNEL_H

#include "base/bytes.h"
#include "base/strbuf.h"
#include "io/event_loop.h"
#include "protocol/ip_address.h"

/* What came of a message: its answer, or why there is none (static text). */
typedef void dns_channel_answer(void *query, struct bytes message, const char *why);

struct dns_channel;

/* `servers` empty: those of /etc/resolv.conf. NULL: *why says why. */
struct dns_channel *dns_channel_new(struct event_loop *loop, const struct ip_endpoint *servers,
                                    size_t server_count, dns_channel_answer *on_answer,
                                    struct strbuf *why);
/* Not from on_answer. What is in flight is answered with "shutdown". */
void dns_channel_free(struct dns_channel **channel);
void dns_channel_send(struct dns_channel *channel, struct bytes message, void *query);
size_t dns_channel_in_flight(const struct dns_channel *channel);
bool dns_channel_has_edns(const struct dns_channel *channel);

#endif
