/*
 * config_value - words of the configuration as numbers: 20, 5m, 10M.
 *
 * Time    a number with ms, s, m, h, d or w; several may follow each other (1h30m). A bare 0 is
 *         0; other numbers need their unit.
 * Size    a number of octets, or with K, M, G, T (1024 each); "KB" and "KiB" say the same.
 */
#ifndef DAEMON_CONFIG_VALUE_H
#define DAEMON_CONFIG_VALUE_H

#include "base/bytes.h"
#include "base/strbuf.h"

bool config_value_duration(struct bytes word, uint64_t *milliseconds);
bool config_value_size(struct bytes word, uint64_t *octets);
/* Index in "a|b|c", or -1. */
int config_value_choice(struct bytes word, const char *choices);
/* The largest unit that says it whole: "5m", "256K". */
void config_value_add_duration(struct strbuf *out, uint64_t milliseconds);
void config_value_add_size(struct strbuf *out, uint64_t octets);

#endif
