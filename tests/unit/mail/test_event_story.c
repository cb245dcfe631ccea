#include "support/check.h"

#include "log_source.h"
#include "mail/event_story.h"
#include "mail/story_report.h"

#include <stdlib.h>

#define AT(time) "ts=2026-11-22T08:00:" time "Z level=info event="
#define M "6h04s18km0000"
#define B "6h04s1e6w0000"
#define R "6h04s1fnc0000"
#define S "65b2122d000000"
#define X "SRS0=P35JO7MP=JL=sender.test=anna@srs.fwd.test"
#define ACCEPTED(how)                                                                          \
    AT("01.000")                                                                               \
    "accepted s=" S " id=" M " client=192.0.2.7 helo=mail.sender.test"                         \
    " from=<anna@sender.test> orig_to=<info@fwd.test> rcpts=1 deliveries=1 how=" how           \
    " size=150 ms=17 message-id=<one@sender.test>"
#define ATTEMPT(time, event)                                                                   \
    AT(time)                                                                                   \
    event " id=" M " from=<anna@sender.test> sender=\"<" X ">\" to=<anna@dest.test>"           \
          " orig_to=<info@fwd.test> relay=mx.dest.test[192.0.2.9]:25"
#define SENT ATTEMPT("03.000", "delivered") " dsn=2.0.0 attempts=1 reply=\"250 2.0.0 taken\"\n"
#define ENDED                                                                                  \
    AT("02.000")                                                                               \
    "session-end s=" S " client=192.0.2.7 helo=mail.sender.test tls=TLSv1.3"                   \
    " cipher=X messages=1 refused=0 errors=0 ms=2000 why=quit\n"

static struct arena *arena;

static enum event_trace_result trace_text(const char *lines, const char *text,
                                          struct event_trace *trace)
{
    struct log_source *lines_of_log = arena_alloc(arena, sizeof *lines_of_log);
    struct event_source source = {.find = find_lines, .context = lines_of_log};

    lines_of_log->text = lines;
    return event_trace_find(&source, bytes_from_text(text), EVENT_TRACE_ROWS, arena, trace);
}

static struct event_story tell(const char *lines, const char *text, enum story_queue queue,
                               const struct story_waiting *waiting)
{
    struct story_input input = {
        .queue = queue, .waiting = waiting, .waiting_count = waiting == NULL ? 0 : 1};
    struct event_trace trace;
    struct event_story story;

    CHECK_INT(lines, trace_text(lines, text, &trace), EVENT_TRACE_ONE);
    input.records = trace.records;
    input.count = trace.count;
    input.id = trace.id;
    input.session = trace.session;
    input.address = trace.is_address ? trace.value : BYTES("");
    event_story_tell(&input, arena, &story);
    return story;
}

static const char *text_of(const struct event_story *story)
{
    struct strbuf text;
    const char *shown;

    strbuf_init(&text, 1000000);
    story_report_add_text(&text, story);
    shown = arena_copy_text(arena, strbuf_bytes(&text));
    strbuf_clear(&text);
    return shown;
}

/* clang-format off */
static const struct {
    const char *name, *lines;
    enum story_queue queue;
    enum story_state state;
    enum event_side side;
    const char *verdict, *read_next; /* must stand in them */
} ends[] = {
    {"delivered", ACCEPTED("stored") "\n" ENDED SENT, STORY_QUEUE_NOT_THERE,
     STORY_DELIVERED, EVENT_SIDE_NONE, "Nothing has failed here", "mx.dest.test[192.0.2.9]:25, at 2026-11-22T08:00:03.000Z, by the words \"250 2.0.0 taken\", Message-ID <one@sender.test>"},
    {"deferred, in the queue", ACCEPTED("stored") "\n" ATTEMPT("03.000", "deferred") " class=greylist next=60 reply=\"450 later\"\n", STORY_QUEUE_UNKNOWN,
     STORY_WAITING, EVENT_SIDE_NEXT_HOP, "waiting helps", "by the words \"450 later\""},
    {"deferred, and gone from the queue", ACCEPTED("stored") "\n" ATTEMPT("03.000", "deferred") " class=greylist next=60\n", STORY_QUEUE_NOT_THERE,
     STORY_UNKNOWN, EVENT_SIDE_NONE, "no line says", ""},
    {"deferred, then delivered", ACCEPTED("stored") "\n" ATTEMPT("02.000", "deferred") " class=greylist next=1\n" SENT, STORY_QUEUE_NOT_THERE,
     STORY_DELIVERED, EVENT_SIDE_NONE, "Nothing has failed here", "08:00:03"},
    {"the other server is full", ACCEPTED("stored") "\n" ATTEMPT("03.000", "bounced") " class=mailbox-full why=expired\n", STORY_QUEUE_UNKNOWN,
     STORY_BOUNCED, EVENT_SIDE_NEXT_HOP, "mailbox is full", "mx.dest.test"},
    {"we are blocked", ACCEPTED("stored") "\n" ATTEMPT("03.000", "bounced") " class=reputation why=permanent-failure\n", STORY_QUEUE_UNKNOWN,
     STORY_BOUNCED, EVENT_SIDE_OURS, "It lies here", "ours, at 2026-11-22T08:00:03"},
    {"authentication fails there, unsigned", ACCEPTED("stored") " spf=pass dkim=none dmarc=pass author=sender.test arc=none iprev=pass\n" ATTEMPT("03.000", "bounced") " class=authentication\n", STORY_QUEUE_UNKNOWN,
     STORY_BOUNCED, EVENT_SIDE_SENDER, "the sender has to sign", "client 192.0.2.7 (mail.sender.test)"},
    {"authentication fails there, signed", ACCEPTED("stored") " spf=pass dkim=pass dmarc=pass author=sender.test arc=none iprev=pass\n" ATTEMPT("03.000", "bounced") " class=authentication\n", STORY_QUEUE_UNKNOWN,
     STORY_BOUNCED, EVENT_SIDE_NEXT_HOP, "no signed octet was changed", "mx.dest.test"},
    {"authentication fails there, broken by us", ACCEPTED("stored") " spf=pass dkim=pass forecast=fail forecast-why=dkim-broken\n" ATTEMPT("03.000", "bounced") " class=authentication\n", STORY_QUEUE_UNKNOWN,
     STORY_BOUNCED, EVENT_SIDE_OURS, "Its signature covers", "ours"},
    {"kept", ACCEPTED("stored") "\n" ATTEMPT("03.000", "held") " class=unknown-user why=sender-not-proven\n", STORY_QUEUE_UNKNOWN,
     STORY_HELD, EVENT_SIDE_NEXT_HOP, "does not exist", "mx.dest.test"},
    {"dropped", ACCEPTED("stored") "\n" ATTEMPT("03.000", "dropped") " why=not-wanted\n", STORY_QUEUE_UNKNOWN,
     STORY_DROPPED, EVENT_SIDE_SENDER, "asked not to be told", "192.0.2.7"},
    {"refused by the next hop while the client waited",
     ATTEMPT("01.000", "refused") " class=content why=told-the-client reply=\"550 spam\"\n"
     AT("01.100") "message-refused s=" S " id=" M " client=192.0.2.7 from=<anna@sender.test> orig_to=<info@fwd.test> rcpts=1 size=1 code=550 why=refused-by-next-hop dsn=5.7.1 reply=spam\n", STORY_QUEUE_NOT_THERE,
     STORY_REFUSED, EVENT_SIDE_SENDER, "does not like what the message contains", "192.0.2.7"},
    {"refused by DMARC", AT("01.100") "message-refused s=" S " id=" M " client=192.0.2.7 from=<anna@sender.test> code=550 why=dmarc-reject dsn=5.7.1 reply=\"DMARC says so\"\n", STORY_QUEUE_NOT_THERE,
     STORY_REFUSED, EVENT_SIDE_SENDER, "DMARC failed", "client 192.0.2.7, at 2026-11-22T08:00:01.100Z, by the words \"DMARC says so\""},
    {"our disk", AT("01.100") "message-deferred s=" S " id=" M " client=192.0.2.7 from=<anna@sender.test> code=452 why=storage-full dsn=4.3.1 reply=later\n", STORY_QUEUE_NOT_THERE,
     STORY_DEFERRED, EVENT_SIDE_OURS, "our disk is full", "ours"},
    {"a word nobody knows", AT("01.100") "message-refused s=" S " id=" M " client=192.0.2.7 code=550 why=whatever\n", STORY_QUEUE_NOT_THERE,
     STORY_REFUSED, EVENT_SIDE_SENDER, "sender's side", "192.0.2.7"},
    {"discarded", AT("01.000") "discarded s=" S " id=" M " client=192.0.2.7 from=<anna@sender.test> orig_to=<bin@fwd.test>\n"
     AT("01.000") "accepted s=" S " id=" M " client=192.0.2.7 from=<anna@sender.test> orig_to=<bin@fwd.test> rcpts=1 deliveries=0 how=discarded\n", STORY_QUEUE_NOT_THERE,
     STORY_DISCARDED, EVENT_SIDE_OURS, "the alias says", ""},
    {"taken, and nothing more is known", ACCEPTED("stored") "\n", STORY_QUEUE_UNKNOWN, STORY_UNKNOWN, EVENT_SIDE_NONE, "the queue could not be asked", ""},
    {"taken, and gone", ACCEPTED("stored") "\n", STORY_QUEUE_NOT_THERE, STORY_UNKNOWN, EVENT_SIDE_NONE, "it is not in the queue", ""},
    {"deleted by hand", ACCEPTED("stored") "\n" AT("05.000") "queue-deleted id=" M " deliveries=1\n", STORY_QUEUE_NOT_THERE,
     STORY_DELETED, EVENT_SIDE_OURS, "An operator deleted it", ""},
    {"deferred, then deleted", ACCEPTED("stored") "\n" ATTEMPT("03.000", "deferred") " class=server\n" AT("05.000") "queue-deleted id=" M " deliveries=1\n", STORY_QUEUE_UNKNOWN,
     STORY_DELETED, EVENT_SIDE_OURS, "An operator deleted it", ""},
    {"one of two is not heard of", AT("01.000") "accepted s=" S " id=" M " client=192.0.2.7 deliveries=2 how=stored\n" SENT, STORY_QUEUE_NOT_THERE,
     STORY_MIXED, EVENT_SIDE_NONE, "no line says", ""},
    {"only the attempts are kept", SENT, STORY_QUEUE_NOT_THERE, STORY_DELIVERED, EVENT_SIDE_NONE, "Nothing has failed here", "mx.dest.test"},
    {"the fallback has it", ACCEPTED("stored") "\n" ATTEMPT("02.000", "redirected") " class=mailbox-full fallback=<berta@dest.test> why=fallback\n"
     AT("03.000") "delivered id=" M " from=<anna@sender.test> to=<berta@dest.test> orig_to=<info@fwd.test> relay=mx.dest.test[192.0.2.9]:25 reply=250\n", STORY_QUEUE_NOT_THERE,
     STORY_DELIVERED, EVENT_SIDE_NONE, "Nothing has failed here", "mx.dest.test"},
};
/* clang-format on */

static bool contains(struct bytes text, const char *part)
{
    return bytes_find_part(text, bytes_from_text(part)) < text.len || part[0] == '\0';
}

static void test_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        const char *name = ends[i].name;
        struct event_story story = tell(ends[i].lines, M, ends[i].queue, NULL);

        CHECK_TEXT(name, story_state_text(story.state), story_state_text(ends[i].state));
        CHECK_TEXT(name, event_side_text(story.side), event_side_text(ends[i].side));
        if (!contains(story.verdict, ends[i].verdict) ||
            !contains(story.read_next, ends[i].read_next) ||
            (ends[i].read_next[0] == '\0' && story.read_next.len > 0)) {
            fail_msg("%s: verdict \"" BYTES_FMT "\", read next \"" BYTES_FMT "\"", name,
                     BYTES_ARG(story.verdict), BYTES_ARG(story.read_next));
        }
        arena_reset(arena);
    }
}

static void test_waiting_in_the_queue(void **state)
{
    struct story_waiting waiting = {.recipient = BYTES("anna@dest.test"),
                                    .reply = BYTES("450 later"),
                                    .next_ms = 1795334460000,
                                    .attempts = 1};
    struct event_story story = tell(ACCEPTED("stored") "\n", M, STORY_QUEUE_THERE, &waiting);
    const char *text;

    (void)state;
    CHECK_TEXT("never tried", story_state_text(story.state), "waiting");
    CHECK_TRUE("said", contains(story.verdict, "has not been tried yet"));
    text = text_of(&story);
    CHECK_TRUE(text,
               strstr(text, "now           queue      <anna@dest.test> is in the queue") !=
                   NULL);
    waiting.is_held = true;
    story = tell(ACCEPTED("stored") "\n" ATTEMPT("03.000", "deferred") " class=server\n", M,
                 STORY_QUEUE_THERE, &waiting);
    CHECK_TEXT("held since", story_state_text(story.state), "held");
    arena_reset(arena);
}

/* A session with three transactions: only its own is told. */
static void test_only_its_own_part_of_a_session(void **state)
{
    struct event_story story = tell(
        AT("00.100") "client-judged s=" S
                     " client=192.0.2.7 helo=x found=reverse-name:no-name points=5 "
                     "verdict=tag\n" AT(
                         "00.200") "recipient-refused s=" S
                                   " client=192.0.2.7 from=<anna@sender.test> "
                                   "to=<first@fwd.test> code=550 why=unknown-recipient\n" AT(
                                       "00.300") "accepted s=" S " id=" B
                                                 " client=192.0.2.7 from=<anna@sender.test> "
                                                 "orig_to=<other@fwd.test> deliveries=1 "
                                                 "how=stored\n" AT(
                                                     "00.400") "recipient-refused s=" S
                                                               " client=192.0.2.7 "
                                                               "from=<anna@sender.test> "
                                                               "to=<second@fwd.test> code=550 "
                                                               "why=unknown-recipient "
                                                               "dsn=5.1.1 reply=no\n" AT(
                                                                   "00.500") "recipient-"
                                                                             "refused s=" S
                                                                             " client=192.0.2."
                                                                             "7 "
                                                                             "from=<bert@"
                                                                             "sender.test> "
                                                                             "to=<foreign@fwd."
                                                                             "test> code=550 "
                                                                             "why=unknown-"
                                                                             "recipient"
                                                                             "\n" ACCEPTED(
                                                                                 "sto"
                                                                                 "re"
                                                                                 "d") "\n" AT("01.500") "rec"
                                                                                                        "ipi"
                                                                                                        "ent"
                                                                                                        "-re"
                                                                                                        "fus"
                                                                                                        "ed "
                                                                                                        "s"
                                                                                                        "=" S
                                                                                                        " cl"
                                                                                                        "ien"
                                                                                                        "t="
                                                                                                        "192"
                                                                                                        ".0."
                                                                                                        "2."
                                                                                                        "7 "
                                                                                                        "fro"
                                                                                                        "m=<"
                                                                                                        "ann"
                                                                                                        "a@"
                                                                                                        "sen"
                                                                                                        "der"
                                                                                                        ".te"
                                                                                                        "st>"
                                                                                                        " to"
                                                                                                        "=<"
                                                                                                        "thi"
                                                                                                        "rd@"
                                                                                                        "fwd"
                                                                                                        ".te"
                                                                                                        "st>"
                                                                                                        " co"
                                                                                                        "de="
                                                                                                        "550"
                                                                                                        " wh"
                                                                                                        "y="
                                                                                                        "unk"
                                                                                                        "now"
                                                                                                        "n-"
                                                                                                        "rec"
                                                                                                        "ipi"
                                                                                                        "ent"
                                                                                                        "\n" ENDED
                                                                                                            SENT,
        M, STORY_QUEUE_NOT_THERE, NULL);
    const char *text = text_of(&story);

    (void)state;
    CHECK_TEXT("delivered", story_state_text(story.state), "delivered");
    CHECK_TRUE("what was found about the client",
               strstr(text, "reverse-name:no-name; points 5: tag") != NULL);
    CHECK_TRUE("its own", strstr(text, "<second@fwd.test> refused: \"550 5.1.1 no\"") != NULL);
    CHECK_TRUE("before", strstr(text, "first@") == NULL);
    CHECK_TRUE("of another sender", strstr(text, "foreign@") == NULL);
    CHECK_TRUE("behind", strstr(text, "third@") == NULL);
    CHECK_TRUE("of another message", strstr(text, "other@") == NULL);
    CHECK_TRUE(
        "begin of the session",
        strstr(text,
               "08:00:00.000  session    client 192.0.2.7, calls itself mail.sender.test") !=
            NULL);
    arena_reset(arena);
}

#define BOUNCED                                                                                \
    ACCEPTED("stored")                                                                         \
    "\n" ATTEMPT("03.000",                                                                     \
                 "bounced") " class=unknown-user why=permanent-failure reply=\"550 "           \
                            "no\"\n" AT("03.000") "bounce-queued id=" B " bounce_of=" M        \
                                                  " from=<> to=<anna@sender.test> "            \
                                                  "why=permanent-failure\n" AT(                \
                                                      "04.000") "delivered id=" B " from=<> "  \
                                                                "to=<anna@sender.test> "       \
                                                                "relay=mx.sender.test[192."    \
                                                                "0.2.7]:25 attempts=1 "        \
                                                                "reply=250\n"

static void test_bounces(void **state)
{
    struct event_story story = tell(BOUNCED, M, STORY_QUEUE_NOT_THERE, NULL);
    const char *text = text_of(&story);

    (void)state;
    CHECK_BYTES("named", story.bounces->text, BYTES(B));
    CHECK_TEXT("state of the message", story_state_text(story.state), "bounced");
    CHECK_INT("the bounce's recipient is none of its own", story.deliveries->next == NULL,
              true);
    CHECK_TRUE(text,
               strstr(text, "08:00:03.000  bounce     a bounce was made, message " B) != NULL);
    CHECK_TRUE(text,
               strstr(text, "08:00:04.000  bounce     attempt 1 for <anna@sender.test>") !=
                   NULL);
    story = tell(BOUNCED, B, STORY_QUEUE_NOT_THERE, NULL);
    CHECK_BYTES("of the bounce", story.bounce_of, BYTES(M));
    CHECK_TEXT("state of the bounce", story_state_text(story.state), "delivered");
    CHECK_TRUE("said", contains(story.verdict, "with this bounce"));
    arena_reset(arena);
}

#define RETURNED                                                                               \
    ACCEPTED("stored")                                                                         \
    "\n" SENT AT("20.000") "accepted s=65b2122d000009 id=" R                                   \
                           " client=192.0.2.9 helo=mx.dest.test from=<> orig_to=\"<" X         \
                           ">\" returns=1 deliveries=1 how=stored\n" AT(                       \
                               "21.000") "delivered id=" R                                     \
                                         " from=<> to=<anna@sender.test> orig_to=\"<" X        \
                                         ">\" attempts=1 reply=250\n"

static void test_what_came_back(void **state)
{
    struct event_story story = tell(RETURNED, M, STORY_QUEUE_NOT_THERE, NULL);
    const char *text = text_of(&story);

    (void)state;
    CHECK_TEXT("state", story_state_text(story.state), "delivered");
    CHECK_TEXT("side", event_side_text(story.side), "next-hop");
    CHECK_BYTES("named", story.returns->text, BYTES(R));
    CHECK_TRUE("alone", !story.is_return_shared);
    CHECK_TRUE(text, strstr(text, "returned   a bounce came back") != NULL);
    story = tell(RETURNED, R, STORY_QUEUE_NOT_THERE, NULL);
    CHECK_BYTES("may be of", story.origins->text, BYTES(M));
    CHECK_TEXT("state", story_state_text(story.state), "delivered");
    story = tell(
        RETURNED AT("02.000") "delivered id=6h04s19mm0000 from=<anna@sender.test> sender=\"<" X
                              ">\" to=<bert@dest.test> orig_to=<sales@fwd.test>\n",
        M, STORY_QUEUE_NOT_THERE, NULL);
    CHECK_TRUE("another one went out under the same address", story.is_return_shared);
    CHECK_TEXT("side", event_side_text(story.side), "none");
    arena_reset(arena);
}

#define REFUSALS                                                                               \
    AT("00.200")                                                                               \
    "recipient-refused s=" S                                                                   \
    " client=192.0.2.7 from=<anna@sender.test> to=<nobody@fwd.test> code=550 "                 \
    "why=unknown-recipient dsn=5.1.1 reply=no\n" AT(                                           \
        "00.300") "recipient-deferred s=" S                                                    \
                  " client=192.0.2.7 from=<anna@sender.test> to=<later@fwd.test> code=450 "    \
                  "why=greylisted dsn=4.7.1 reply=later\n"

static void test_refused_at_rcpt(void **state)
{
    struct event_story story =
        tell(REFUSALS ENDED, "Nobody@fwd.test", STORY_QUEUE_UNKNOWN, NULL);
    const char *text = text_of(&story);

    (void)state;
    CHECK_TEXT("state", story_state_text(story.state), "refused");
    CHECK_TEXT("side", event_side_text(story.side), "sender");
    CHECK_TRUE("TLS is known by the session's end", strstr(text, "TLSv1.3 X") != NULL);
    CHECK_TRUE("only what was asked for", strstr(text, "later@") == NULL);
    story = tell(REFUSALS ENDED, "<later@fwd.test>", STORY_QUEUE_UNKNOWN, NULL);
    CHECK_TEXT("state", story_state_text(story.state), "deferred");
    CHECK_TEXT("side", event_side_text(story.side), "ours");
    story = tell(REFUSALS ENDED, S, STORY_QUEUE_UNKNOWN, NULL);
    CHECK_TEXT("the whole session", story_state_text(story.state), "refused");
    CHECK_TRUE("both", story.recipients->next != NULL);
    story = tell(ENDED, S, STORY_QUEUE_UNKNOWN, NULL);
    CHECK_TEXT("no mail", story_state_text(story.state), "unknown");
    CHECK_TRUE("said", contains(story.verdict, "No message came of this session"));
    arena_reset(arena);
}

static void test_what_is_looked_for(void **state)
{
    static const char LOG[] = ACCEPTED("stored") "\n" SENT AT(
        "30.000") "accepted s=65b2122d000002 id=" B
                  " client=192.0.2.7 from=<anna@sender.test> orig_to=<sales@fwd.test> "
                  "deliveries=1 how=stored message-id=<two@sender.test>\n";
    static const struct {
        const char *text;
        enum event_trace_result want;
        const char *id;
    } CASES[] = {
        {M, EVENT_TRACE_ONE, M},
        {"6H04S18KM0000", EVENT_TRACE_ONE, M},
        {" id=" M " ", EVENT_TRACE_ONE, M},
        {S, EVENT_TRACE_ONE, M},
        {"65B2122D000000", EVENT_TRACE_ONE, M},
        {"info@fwd.test", EVENT_TRACE_ONE, M},
        {"<INFO@FWD.test>", EVENT_TRACE_ONE, M},
        {"anna@dest.test", EVENT_TRACE_ONE, M},
        {X, EVENT_TRACE_ONE, M},
        {"one@sender.test", EVENT_TRACE_ONE, M},
        {"<one@sender.test>", EVENT_TRACE_ONE, M},
        {"ONE@sender.test", EVENT_TRACE_NOTHING, ""},
        {"two@sender.test", EVENT_TRACE_ONE, B},
        {"anna@sender.test", EVENT_TRACE_SEVERAL, ""},
        {"nna@sender.test", EVENT_TRACE_NOTHING, ""},
        {"6h04s18km0001", EVENT_TRACE_NOTHING, ""},
        {"65b2122d000007", EVENT_TRACE_NOTHING, ""},
        {"", EVENT_TRACE_NOTHING, ""},
        {"<>", EVENT_TRACE_NOTHING, ""},
        {"what", EVENT_TRACE_NOTHING, ""},
    };
    struct event_trace trace;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const char *name = CASES[i].text;

        CHECK_INT(name, trace_text(LOG, CASES[i].text, &trace), CASES[i].want);
        CHECK_BYTES(name, trace.id, bytes_from_text(CASES[i].id));
        arena_reset(arena);
    }
    trace_text(LOG, "anna@sender.test", &trace);
    CHECK_INT("one line a message", trace.count, 2);
    CHECK_TRUE("the newest of each", event_record_is(&trace.records[0], "delivered"));
    arena_reset(arena);
}

static void test_a_source_that_fails(void **state)
{
    struct log_source broken = {.is_broken = true};
    struct event_source source = {.find = find_lines, .context = &broken};
    struct event_trace trace;

    (void)state;
    CHECK_INT("message", event_trace_find(&source, BYTES(M), 10, arena, &trace),
              EVENT_TRACE_FAILED);
    CHECK_INT("session", event_trace_find(&source, BYTES(S), 10, arena, &trace),
              EVENT_TRACE_FAILED);
    CHECK_INT("address", event_trace_find(&source, BYTES("a@b"), 10, arena, &trace),
              EVENT_TRACE_FAILED);
    CHECK_INT("else", event_trace_find(&source, BYTES("ab"), 10, arena, &trace),
              EVENT_TRACE_FAILED);
    arena_reset(arena);
}

/* What a peer said can neither move the terminal's cursor nor make a line of its own. */
static void test_words_of_peers(void **state)
{
    struct event_story story =
        tell(ACCEPTED("stored") "\n" ATTEMPT(
                 "03.000", "deferred") " class=server reply=\"450 \\x1b[2J\\r\\nIn the end: "
                                       "delivered \\xff\"\n",
             M, STORY_QUEUE_UNKNOWN, NULL);
    const char *text = text_of(&story);

    (void)state;
    CHECK_TRUE(text,
               strstr(text, "\"450 \\x1b[2J\\x0d\\x0aIn the end: delivered \\xff\"") != NULL);
    CHECK_TRUE(text,
               strchr(text, '\x1b') == NULL && strstr(text, "\nIn the end: delivered") == NULL);
    arena_reset(arena);
}

static void test_json(void **state)
{
    struct event_story story =
        tell(ACCEPTED("stored") " mark=iprev mark=spf-fail spf=fail\n" SENT, M,
             STORY_QUEUE_NOT_THERE, NULL);
    struct strbuf text;

    (void)state;
    strbuf_init(&text, 100000);
    story_report_add_json(&text, &story);
    CHECK_TRUE(
        strbuf_text(&text),
        contains(strbuf_bytes(&text), "\"mark\":[\"iprev\",\"spf-fail\"],\"spf\":\"fail\""));
    CHECK_TRUE(
        strbuf_text(&text),
        contains(strbuf_bytes(&text), "\"state\":\"delivered\",\"failed_side\":\"none\""));
    strbuf_clear(&text);
    arena_reset(arena);
}

static void test_more_steps_than_are_kept(void **state)
{
    struct strbuf lines;
    struct event_story story;
    size_t count = 0;

    (void)state;
    strbuf_init(&lines, 10000000);
    for (size_t i = 0; i < 700; i++) {
        strbuf_add_text(&lines, ATTEMPT("03.000", "deferred") " class=server\n");
    }
    story = tell(strbuf_text(&lines), M, STORY_QUEUE_UNKNOWN, NULL);
    for (struct story_step *step = story.steps; step != NULL; step = step->next) {
        count++;
    }
    CHECK_INT("kept", count, STORY_STEPS);
    CHECK_INT("left out", story.steps_left_out, 701 - STORY_STEPS);
    strbuf_clear(&lines);
    arena_reset(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_waiting_in_the_queue),
        cmocka_unit_test(test_only_its_own_part_of_a_session),
        cmocka_unit_test(test_bounces),
        cmocka_unit_test(test_what_came_back),
        cmocka_unit_test(test_refused_at_rcpt),
        cmocka_unit_test(test_what_is_looked_for),
        cmocka_unit_test(test_a_source_that_fails),
        cmocka_unit_test(test_words_of_peers),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_more_steps_than_are_kept),
    };
    int failed;

    arena = arena_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
