/*
 * stream_end - which end of a stream a system error stands for.
 */
#ifndef IO_STREAM_END_H
#define IO_STREAM_END_H

#include "io/stream.h"

enum stream_end stream_end_from_errno(int error);

#endif
