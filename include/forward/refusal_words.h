/*
 * refusal_words - what a word behind `why` in the log means, for people who have not read docs/LOGGING.md.
 *
 * Input   the words of refused and deferred messages and recipients, of what is held, and of forecasts.
 * Output  sentences without their full stop; static.
 */
#ifndef FORWARD_REFUSAL_WORDS_H
#define FORWARD_REFUSAL_WORDS_H

#include "base/bytes.h"

struct refusal_words {
    const char *means; /* NULL: the word is not known here */
    const char
        *change; /* what decides about it: an option, or something to do; NULL: nothing does */
};

struct refusal_words refusal_words_of(struct bytes why);
/* Of `forecast-why`. NULL: not known here. */
const char *refusal_words_of_forecast(struct bytes why);

#endif
