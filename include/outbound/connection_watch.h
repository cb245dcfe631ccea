/*
 * connection_watch - sees a connection to a next hop as it happens, for commands that show it (`postilion probe`).
 *
 * Use     named in a delivery_request or in connection_settings; must live as long as the connection. It looks
 *         and changes nothing: `note` may read the connection, and must not change anything.
 * Cost    nobody watches a delivery of the daemon: one pointer is compared with NULL.
 * Octets  SAID: the commands as they are written. HEARD: replies as they are read, in pieces; what the dialogue could
 *         not understand is there, too. CONTENT: none, the whole message has been written. Others: none.
 */
#ifndef OUTBOUND_CONNECTION_WATCH_H
#define OUTBOUND_CONNECTION_WATCH_H

#include "base/bytes.h"
#include "io/tls_peer.h"

enum connection_note {
    CONNECTION_NOTE_BEGUN, /* it connects: host, endpoint and tls_wanted are known */
    CONNECTION_NOTE_CONNECTED,
    CONNECTION_NOTE_SAID,
    CONNECTION_NOTE_HEARD,
    CONNECTION_NOTE_SECURED, /* see `tls` and the peer */
    CONNECTION_NOTE_CONTENT,
    CONNECTION_NOTE_BROKEN, /* see `fault` */
    CONNECTION_NOTE_ENDED,  /* the last */
};

struct next_hop_connection;

struct connection_watch {
    void *context;
    void (*note)(void *context, enum connection_note what,
                 const struct next_hop_connection *connection, struct bytes octets);
    struct tls_peer *peer; /* gets the certificates, or NULL */
};

#endif
