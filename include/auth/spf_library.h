/*
 * spf_library - libspf2 with our DNS under it: compiles rewritten records, answers tokens.
 *
 * Use     one for each thread; spf_library_run takes an evaluation whose first record is found
 *         and returns what libspf2's interpreter says of it. The result means nothing while the
 *         evaluation waits, and gives way to permerror when it went over a limit.
 * Answers only "found", "nothing" and "try again"; a wait and a limit are "try again", too, which
 *         unwinds the interpreter at once.
 */
#ifndef AUTH_SPF_LIBRARY_H
#define AUTH_SPF_LIBRARY_H

#include "auth/spf_evaluation.h"

struct spf_library;

struct spf_library *spf_library_new(void);
void spf_library_free(struct spf_library **library); /* safe on NULL */
enum auth_result spf_library_run(struct spf_library *library,
                                 struct spf_evaluation *evaluation);

#endif
