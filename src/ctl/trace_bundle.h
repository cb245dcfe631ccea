/*
 * trace_bundle - a story as evidence for another admin: what is private is masked (mail/evidence_mask), and the log's lines
 * stand behind it.
 *
 * Private to room ctl.
 */
#ifndef CTL_TRACE_BUNDLE_H
#define CTL_TRACE_BUNDLE_H

#include "base/strbuf.h"
#include "ctl/trace_command.h"
#include "mail/event_story.h"

/* `story` was told from `input`. False: there is more to mask than can be. */
bool trace_bundle_add(struct strbuf *out, const struct story_input *input,
                      const struct event_story *story,
                      const struct trace_command_options *options, bool is_json,
                      struct arena *arena);

#endif
