/*
 * http_request - what the target and the Host field of an HTTP request say.
 *
 * Input   as the client wrote them, any octets.
 * Query   "name=value&...": "+" is a blank, %XX an octet; a broken %XX stands for itself.
 * Host    a page of a stranger, open in an operator's browser, can have its own name point to this
 *         machine and read what it finds here (DNS rebinding). It cannot choose what the browser
 *         writes into Host: the stranger's name. So only names nobody else can have are served:
 *         addresses, localhost, and ours.
 * RFC     9110 §7.2, 3986 §3.4, 6761 §6.3
 */
#ifndef PROTOCOL_HTTP_REQUEST_H
#define PROTOCOL_HTTP_REQUEST_H

#include "base/strbuf.h"

/* Up to the query; not decoded: none of our paths needs it. */
struct bytes http_request_path_of(struct bytes target);
/* The first value of that name, decoded, into `value`, whose limit holds. False: there is none. */
bool http_request_parameter(struct bytes target, const char *name, struct strbuf *value);
/* With or without a port. */
bool http_request_host_is_safe(struct bytes host, struct bytes our_name);

#endif
