#include "io/clock_keeping.h"

#include <sys/timex.h>

enum clock_keeping clock_keeping_now(void)
{
    struct timex question = {.modes = 0};
    int state = adjtimex(&question);

    if (state < 0) {
        return CLOCK_KEEPING_UNKNOWN;
    }
    return state == TIME_ERROR || (question.status & STA_UNSYNC) != 0 ? CLOCK_KEEPING_NO
                                                                      : CLOCK_KEEPING_YES;
}
