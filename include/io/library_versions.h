/*
 * library_versions - which libraries this process really runs with.
 */
#ifndef IO_LIBRARY_VERSIONS_H
#define IO_LIBRARY_VERSIONS_H

#include "base/strbuf.h"

/* One line for each: "libevent 2.1.12-stable\n" ... */
void library_versions_add(struct strbuf *out);

#endif
