#include "daemon/config_manual.h"

#include "daemon/config_schema.h"

enum { LINE_LIMIT = 78 };

static const char OPENING[] =
    ".\\\" Written from the table of all options: make sample\n"
    ".Dd November 22, 2026\n"
    ".Dt POSTILION.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm postilion.conf\n"
    ".Nd configuration of the forwarding MTA postilion\n"
    ".Sh DESCRIPTION\n"
    "One option a line: its name, then its values.\n"
    "A\n"
    ".Ql #\n"
    "begins a comment.\n"
    "A value with a blank, a brace or a\n"
    ".Ql #\n"
    "in it stands in double quotes.\n"
    "Some options open a block in braces, with options of its own inside.\n"
    ".Brq env:NAME\n"
    "stands for a variable of the environment.\n"
    ".Pp\n"
    "Times have a unit:\n"
    ".Cm ms , s , m , h , d , w .\n"
    "Sizes are octets, or have\n"
    ".Cm K , M\n"
    "or\n"
    ".Cm G\n"
    "behind them.\n"
    ".Pp\n"
    ".Ql postilion check\n"
    "tells every mistake with its file, line, column and a hint;\n"
    ".Ql postilion check --dump\n"
    "every value and where it comes from;\n"
    ".Ql postilion explain-option NAME\n"
    "what stands here about one option.\n"
    ".Ql postilion reload\n"
    "puts changes into force; options that need a restart say so.\n";

static const char CLOSING[] =
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/postilion/postilion.conf\n"
    "What is read unless\n"
    ".Fl c\n"
    "names another file.\n"
    ".It Pa /etc/postilion/postilion.conf.sample\n"
    "Every option with its default.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    "A complete border MX:\n"
    ".Bd -literal -offset indent\n"
    "hostname mx.example.org\n"
    "listen   0.0.0.0:25 [::]:25\n"
    "\n"
    "srs {\n"
    "    domain      srs.example.org\n"
    "    secret-file /etc/postilion/srs.secret\n"
    "}\n"
    "\n"
    "domain example.org {\n"
    "    forward postmaster to admin@mail.example\n"
    "    forward abuse      to admin@mail.example\n"
    "    forward info       to anna@mailbox.example bob@corp.example\n"
    "}\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr postilion 1 ,\n"
    ".Xr postilion-queue 1\n";

/* ---- mdoc ---- */

enum text_place { LINE_START, INSIDE_LINE, QUOTED };

/* What would be an escape, a request, or the end of a quoted argument. */
static void add_escaped(struct strbuf *out, struct bytes text, enum text_place place)
{
    if (place == LINE_START && text.len > 0 && (text.data[0] == '.' || text.data[0] == '\'')) {
        strbuf_add_text(out, "\\&");
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\') {
            strbuf_add_text(out, "\\e");
        } else if (text.data[i] == '"' && place == QUOTED) {
            strbuf_add_text(out, "\\(dq");
        } else {
            strbuf_add_char(out, text.data[i]);
        }
    }
}

static bool ends_sentence(struct bytes word)
{
    while (word.len > 1 && (word.data[word.len - 1] == ')' || word.data[word.len - 1] == '"')) {
        word.len--;
    }
    return word.len > 0 && word.data[word.len - 1] == '.';
}

static void add_text(struct strbuf *out, const char *text)
{
    struct bytes rest = bytes_from_text(text);
    size_t column = 0;

    while (rest.len > 0) {
        struct bytes word = bytes_cut(&rest, ' ');

        if (column > 0 && column + 1 + word.len > LINE_LIMIT) {
            strbuf_add_char(out, '\n');
            column = 0;
        } else if (column > 0) {
            strbuf_add_char(out, ' ');
            column++;
        }
        add_escaped(out, word, column > 0 ? INSIDE_LINE : LINE_START);
        column += word.len;
        if (ends_sentence(word) && rest.len > 0) {
            strbuf_add_char(out, '\n');
            column = 0;
        }
    }
    strbuf_add_char(out, '\n');
}

/* ---- one option ---- */

static void add_size(struct strbuf *out, uint64_t octets)
{
    static const char units[] = " KMG";
    size_t unit = 0;

    while (octets > 0 && octets % 1024 == 0 && unit + 1 < sizeof units - 1) {
        octets /= 1024;
        unit++;
    }
    strbuf_addf(out, "%llu", (unsigned long long)octets);
    if (unit > 0) {
        strbuf_add_char(out, units[unit]);
    }
}

static void add_time(struct strbuf *out, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms > 0 && ms % units[i].ms == 0) {
            strbuf_addf(out, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].name);
            return;
        }
    }
    strbuf_add_char(out, '0');
}

static bool has_range(const struct config_option *option)
{
    return option->most > 0 && (option->type == CONFIG_NUMBER || option->type == CONFIG_SIZE ||
                                option->type == CONFIG_DURATION ||
                                option->type == CONFIG_RETRY || option->type == CONFIG_HISTORY);
}

static void add_bound(struct strbuf *out, const struct config_option *option, uint64_t bound)
{
    if (option->type == CONFIG_SIZE) {
        add_size(out, bound);
    } else if (option->type == CONFIG_NUMBER) {
        strbuf_addf(out, "%llu", (unsigned long long)bound);
    } else {
        add_time(out, bound);
    }
}

static void add_facts(struct strbuf *out, const struct config_option *option)
{
    if (option->fallback != NULL) {
        strbuf_add_text(out, "Default:\n.Ql ");
        strbuf_add_char(out, '"');
        add_escaped(out, bytes_from_text(option->fallback), QUOTED);
        strbuf_add_text(out, "\" .\n");
    }
    if (has_range(option)) {
        strbuf_add_text(out, "From ");
        add_bound(out, option, option->least);
        strbuf_add_text(out, " to ");
        add_bound(out, option, option->most);
        strbuf_add_text(out, ".\n");
    }
    if (option->may_repeat) {
        strbuf_add_text(out, "May be repeated.\n");
    }
    if (!option->is_reloadable) {
        strbuf_add_text(out, "Changes need a restart.\n");
    }
}

/* Examples of more than a word; in the sample file they may be comments. */
static void add_example(struct strbuf *out, const struct config_option *option)
{
    struct bytes rest = bytes_from_text(option->sample == NULL ? "" : option->sample);

    if (rest.len == 0 || config_schema_has_block(option)) {
        return;
    }
    strbuf_add_text(out, ".Bd -literal -offset indent\n");
    while (rest.len > 0) {
        struct bytes line = bytes_cut(&rest, '\n');

        add_escaped(out, bytes_starts_with(line, BYTES("#")) ? bytes_skip(line, 1) : line,
                    LINE_START);
        strbuf_add_char(out, '\n');
    }
    strbuf_add_text(out, ".Ed\n");
}

static void add_option(struct strbuf *out, const struct config_option *option)
{
    strbuf_addf(out, ".It Ic %s Ar \"", option->name);
    add_escaped(out, bytes_from_text(option->arguments), QUOTED);
    strbuf_add_text(out, "\"\n");
    add_text(out, option->documentation);
    add_facts(out, option);
    add_example(out, option);
}

/* ---- the page ---- */

static bool has_options(const char *context)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].context, context) == 0) {
            return true;
        }
    }
    return false;
}

static void add_options(struct strbuf *out, const char *context)
{
    strbuf_add_text(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].context, context) == 0) {
            add_option(out, &config_options[i]);
        }
    }
    strbuf_add_text(out, ".El\n");
}

void config_manual_write(struct strbuf *out)
{
    strbuf_add_text(out, OPENING);
    strbuf_add_text(out, ".Sh OPTIONS\n");
    add_options(out, "");
    strbuf_add_text(out, ".Sh BLOCKS\n");
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];

        if (option->context[0] == '\0' && has_options(option->name)) {
            strbuf_addf(out, ".Ss In the block of %s\n", option->name);
            add_options(out, option->name);
        }
    }
    strbuf_add_text(out, CLOSING);
}
