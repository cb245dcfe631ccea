/*
 * config_dump - the effective configuration with the origin of each value, in its own language.
 *
 * Secrets  are shown as they are written ({file:...}), never as what they stand for.
 */
#ifndef DAEMON_CONFIG_DUMP_H
#define DAEMON_CONFIG_DUMP_H

#include "daemon/config.h"

void config_dump(const struct config *config, struct strbuf *out);

#endif
