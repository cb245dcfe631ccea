/*
 * config_manual - postilion.conf(5): the manual page of the configuration, from the table of all options.
 *
 * Output  mdoc that mandoc -T lint has nothing to say about: lines of at most 80 octets, a
 *         sentence a line. What docs/man5/postilion.conf.5 is (`make sample`).
 */
#ifndef DAEMON_CONFIG_MANUAL_H
#define DAEMON_CONFIG_MANUAL_H

#include "base/strbuf.h"

void config_manual_write(struct strbuf *out);

#endif
