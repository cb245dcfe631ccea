#include "mail/page_frame.h"

#include "base/calendar.h"
#include "base/encoding.h"
#include "base/html.h"

#include <assert.h>
#include <openssl/evp.h>

/* clang-format off */
static const char STYLE[] =
    ":root{color-scheme:light dark;--page:#f4f2ec;--card:#fff;--ink:#1c2230;--soft:#5b6373;--line:#e2dfd5;"
    "--link:#1d57a8;--post:#f2b705;--good:#2f855a;--soft-good:#93c5ab;--wait:#d69e2e;--bad:#c53030;--special:#6b5ca5;"
    "--none:#b8bcc6;--fill:#5b84b8;--tint:29,87,168}"
    "@media(prefers-color-scheme:dark){:root{--page:#11141a;--card:#191e27;--ink:#e7eaf0;--soft:#98a2b3;--line:#2b323e;"
    "--link:#7fb0ff;--post:#f2b705;--good:#3fae78;--soft-good:#2b6b4c;--wait:#dba53a;--bad:#f0685f;--special:#9a8ad6;"
    "--none:#586072;--fill:#5f8fcf;--tint:127,176,255}}"
    "*{box-sizing:border-box}"
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%}"
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "a{color:var(--link);text-underline-offset:2px}"
    "a:focus-visible,input:focus-visible,button:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--link);outline-offset:2px}"
    ".wrap{max-width:1180px;margin:0 auto;padding:0 16px}"
    ".skip{position:absolute;left:-99em}.skip:focus{left:8px;top:8px;background:var(--card);padding:4px 8px;z-index:2}"
    /* the head */
    ".top{background:var(--card);border-bottom:1px solid var(--line);border-top:4px solid var(--post)}"
    ".top .wrap{display:flex;flex-wrap:wrap;align-items:center;gap:8px 20px;padding-top:10px;padding-bottom:10px}"
    ".brand{display:flex;align-items:center;gap:10px;color:inherit;text-decoration:none;font-weight:650;font-size:17px;letter-spacing:-.01em}"
    ".brand svg{width:30px;height:24px;flex:none;overflow:visible}"
    ".brand small{display:block;font-weight:400;font-size:13px;color:var(--soft);letter-spacing:0}"
    ".search{margin-left:auto;display:flex;gap:6px;flex:0 1 400px;min-width:0}"
    ".search input{flex:1;min-width:0;font:inherit;padding:6px 10px;border:1px solid var(--line);border-radius:6px;background:var(--page);color:inherit}"
    ".search button{font:inherit;padding:6px 14px;border:1px solid var(--line);border-radius:6px;background:var(--card);color:var(--link);cursor:pointer}"
    ".bar-line{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:baseline;padding:12px 0 0;color:var(--soft);font-size:13px}"
    ".bar-line nav{display:flex;flex-wrap:wrap;gap:4px 14px}"
    ".bar-line time{margin-left:auto}"
    /* cards */
    "main{padding-bottom:24px}"
    "section{margin-top:28px}"
    "h1{font-size:22px;margin:24px 0 0;letter-spacing:-.01em}"
    "h2{font-size:17px;margin:0 0 10px;letter-spacing:-.01em;display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline}"
    "h2 small{font-weight:400;font-size:13px;color:var(--soft)}"
    "h3{font-size:14px;margin:0;font-weight:600}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px}"
    ".grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr))}"
    ".grid>*{min-width:0}"
    ".below{margin-top:16px}.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}.loose{align-items:start}.grid>section{margin-top:28px}"
    ".empty,.note{color:var(--soft);margin:6px 0 0;font-size:13px}"
    ".card>p:first-child{margin-top:0}.card>p:last-child{margin-bottom:0}"
    /* what wants somebody */
    ".notices{list-style:none;margin:20px 0 0;padding:0;display:grid;gap:8px}"
    ".notices li{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--wait);border-radius:6px;padding:8px 12px}"
    ".notices li.m-bad{border-left-color:var(--bad)}"
    ".notices b{font-weight:600}"
    /* the strip */
    ".strip{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:1px;background:var(--line);border:1px solid var(--line);"
    "border-radius:8px;overflow:hidden;margin:18px 0 0;padding:0}"
    ".strip div{background:var(--card);padding:10px 14px 11px;min-width:0}"
    ".strip dt{font-size:12px;color:var(--soft)}"
    ".strip dd{margin:1px 0 0;font-size:18px;font-weight:600;letter-spacing:-.01em;line-height:1.3}"
    ".strip dd small{display:block;font-size:12px;font-weight:400;color:var(--soft);letter-spacing:0}"
    ".strip .m-good dd::before,.strip .m-warn dd::before,.strip .m-bad dd::before{content:'';display:inline-block;width:9px;height:9px;"
    "border-radius:50%;background:var(--good);margin-right:7px;vertical-align:2px}"
    ".strip .m-warn dd::before{background:var(--wait);border-radius:0;transform:rotate(45deg)}"
    ".strip .m-bad dd::before{background:var(--bad);border-radius:1px}"
    ".strip .m-bad dd{color:var(--bad)}"
    /* drawings */
    "figure{margin:0}"
    ".chart figcaption{display:flex;flex-wrap:wrap;gap:2px 16px;align-items:baseline;margin-bottom:10px}"
    ".legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:0;padding:0;font-size:13px;color:var(--soft)}"
    ".legend b{color:var(--ink);font-weight:600}.legend i{font-style:normal}"
    ".legend li::before{content:'';display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:6px;background:var(--none)}"
    ".legend .good::before{background:var(--good)}.legend .soft::before{background:var(--soft-good)}"
    ".legend .wait::before{background:var(--wait)}.legend .bad::before{background:var(--bad)}"
    ".legend .gap::before{background:var(--line)}"
    ".legend .fill::before{background:var(--fill)}"
    ".legend .special::before{background:var(--special)}"
    "svg .good{fill:var(--good)}svg .soft{fill:var(--soft-good)}svg .wait{fill:var(--wait)}svg .bad{fill:var(--bad)}"
    "svg .special{fill:var(--special)}svg .none{fill:var(--none)}svg .rest{fill:var(--line)}svg .fill{fill:var(--fill)}"
    "svg .gap{fill:var(--line);opacity:.45}"
    "svg .grid{stroke:var(--line);fill:none;vector-effect:non-scaling-stroke}"
    "svg .tip{fill:transparent}svg .tip rect:hover{fill:rgba(var(--tint),.16)}"
    ".plot{display:grid;grid-template-columns:auto 1fr;gap:4px 8px;font-size:11.5px;color:var(--soft)}"
    ".plot svg{grid-column:2;grid-row:1;width:100%;height:150px;display:block}"
    ".wide .plot svg{height:200px}"
    ".plot .y{grid-column:1;grid-row:1;display:flex;flex-direction:column;justify-content:space-between;text-align:right;line-height:1;margin:-5px 0}"
    ".plot .x{grid-column:2;grid-row:2;display:flex;justify-content:space-between}"
    ".shares+.shares{margin-top:14px}"
    ".shares h3,.ranking .name{font-weight:500}"
    "svg.bar{width:100%;height:10px;display:block;border-radius:3px;margin:4px 0}"
    ".ranking{list-style:none;margin:0;padding:0;display:grid;gap:10px 36px;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}"
    ".ranking li{display:grid;grid-template-columns:1fr auto;gap:0 12px}"
    ".ranking b{font-weight:600}.ranking svg,.ranking small{grid-column:1/-1}"
    ".ranking svg{height:6px;margin:2px 0 0}.ranking small{color:var(--soft);font-size:12.5px}"
    /* tables */
    ".scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px;background:var(--card)}"
    "table{border-collapse:collapse;width:100%;font-size:14px}"
    "th,td{padding:7px 12px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}"
    "tbody tr:last-child>*{border-bottom:0}"
    "thead th{font-size:12px;font-weight:500;color:var(--soft);white-space:nowrap}"
    "tbody th{font-weight:500}"
    ".stack tbody th{min-width:9em}.stack .when{min-width:12em}"
    ".n{text-align:right;white-space:nowrap}"
    ".ages th:first-child{position:sticky;left:0;background:var(--card);min-width:130px;max-width:46vw;z-index:1}"
    ".ages tr.sum>*{font-weight:600}"
    ".h1{background:rgba(var(--tint),.08)}.h2{background:rgba(var(--tint),.17)}.h3{background:rgba(var(--tint),.28)}.h4{background:rgba(var(--tint),.42)}"
    ".zero{color:var(--none)}"
    ".said{font-family:ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace;font-size:12.5px}"
    ".tag{display:inline-block;font-size:12px;border:1px solid var(--line);border-radius:4px;padding:0 6px;color:var(--soft)}"
    "pre{margin:8px 0 0;padding:8px 10px;background:var(--page);border:1px solid var(--line);border-radius:6px;overflow-x:auto;"
    "font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace;white-space:pre-wrap}"
    /* spans, findings, the trace */
    ".spans{display:inline-flex;border:1px solid var(--line);border-radius:6px;overflow:hidden;font-size:13px;font-weight:400;background:var(--card)}"
    ".spans a{padding:2px 12px;text-decoration:none}"
    ".spans a+a{border-left:1px solid var(--line)}"
    ".spans a[aria-current]{background:var(--link);color:var(--card)}"
    ".findings{list-style:none;margin:0;padding:0}"
    ".findings>li{padding:10px 0 10px 22px;border-bottom:1px solid var(--line);position:relative}"
    ".findings>li:first-child{padding-top:0}.findings>li:last-child{border:0;padding-bottom:0}"
    ".findings>li::before{content:'';position:absolute;left:2px;top:16px;width:9px;height:9px;border-radius:50%;background:var(--none)}"
    ".findings>li:first-child::before{top:6px}"
    ".findings .m-good::before{background:var(--good)}.findings .m-warn::before{background:var(--wait)}.findings .m-bad::before{background:var(--bad)}"
    ".findings p{margin:2px 0 0;color:var(--soft)}"
    ".verdict{margin:18px 0 0;background:var(--card);border:1px solid var(--line);border-left:6px solid var(--none);border-radius:8px;padding:12px 16px}"
    ".verdict h1{margin:0;font-size:20px}.verdict p{margin:4px 0 0}"
    ".verdict.m-good{border-left-color:var(--good)}.verdict.m-warn{border-left-color:var(--wait)}.verdict.m-bad{border-left-color:var(--bad)}"
    ".facts{margin:0;display:grid;gap:6px}.facts div{display:grid;grid-template-columns:110px 1fr;gap:0 12px}"
    ".facts dt{color:var(--soft);font-size:13px}.facts dd{margin:0;min-width:0}"
    ".day{margin:16px 0 8px;color:var(--soft);font-weight:500}.card>.day:first-child{margin-top:0}"
    ".steps{list-style:none;margin:0;padding:0}"
    ".steps>li{display:grid;grid-template-columns:90px 86px 1fr;gap:0 12px;padding:7px 0 7px 16px;border-left:3px solid var(--line)}"
    ".steps>.m-good{border-left-color:var(--good)}.steps>.m-warn{border-left-color:var(--wait)}.steps>.m-bad{border-left-color:var(--bad)}"
    ".steps .at{color:var(--soft);font-size:13px;padding-top:1px}.steps .tag{justify-self:start;align-self:start}.steps p{margin:0}.steps p+p{color:var(--soft)}"
    "footer{margin-top:36px;border-top:1px solid var(--line);padding:14px 0 28px;color:var(--soft);font-size:13px}"
    "footer p{margin:0;display:flex;flex-wrap:wrap;gap:4px 16px}"
    /* phones */
    "@media(max-width:640px){"
    ".wrap{padding-left:12px;padding-right:12px}.search{flex:1 1 100%;margin-left:0}"
    ".bar-line time{margin-left:0}"
    ".strip{grid-template-columns:repeat(2,1fr)}.strip div{padding:8px 12px}.strip dd{font-size:16px}"
    ".card{padding:12px}.plot .x span:nth-child(even){display:none}.plot svg,.wide .plot svg{height:140px}"
    ".search input{font-size:16px}"
    ".stack thead{position:absolute;left:-99em}"
    ".stack,.stack tbody,.stack tr,.stack td,.stack th{display:block}"
    ".stack tr{padding:9px 12px;border-bottom:1px solid var(--line)}.stack tbody tr:last-child{border:0}"
    ".stack td,.stack tbody th{border:0;padding:1px 0;text-align:left;white-space:normal}"
    ".stack td[data-name]::before{content:attr(data-name) ' ';color:var(--soft);font-size:12.5px}"
    "th,td{padding:6px 8px}"
    ".steps>li{grid-template-columns:auto 1fr}.steps>li>div{grid-column:1/-1}"
    "}"
    "@media print{body{background:#fff}.search,.spans,.bar-line nav{display:none}.card,.scroll,.strip{break-inside:avoid}}";

/* A post horn. */
static const char HORN[] =
    "<svg viewBox=\"0 0 60 48\" aria-hidden=\"true\"><g fill=\"none\" stroke=\"#f2b705\" stroke-linecap=\"round\">"
    "<circle cx=\"27\" cy=\"27\" r=\"13\" stroke-width=\"5\"/><path d=\"M2 14H34\" stroke-width=\"5\"/></g>"
    "<path fill=\"#f2b705\" d=\"M32 11.5C42 11.5 50 9 57 2V26C50 19 42 16.5 32 16.5z\"/></svg>";
/* clang-format on */

void page_frame_policy(struct strbuf *out)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int is_made = EVP_Digest(STYLE, sizeof STYLE - 1, hash, &len, EVP_sha256(), NULL);

    assert(is_made == 1);
    strbuf_add_text(out, "style-src 'sha256-");
    encoding_base64_add(out, bytes_of(hash, len));
    strbuf_add_text(out, "'; img-src data:; form-action 'self'");
}

static void add_search(struct strbuf *out, const struct page_frame *frame)
{
    strbuf_add_text(out,
                    "<form class=\"search\" action=\"/trace\" role=\"search\">"
                    "<input type=\"search\" name=\"q\" aria-label=\"Search for a message\" "
                    "placeholder=\"address, id or Message-ID\" value=\"");
    html_add(out, frame->query);
    strbuf_add_text(out, "\"><button>Trace</button></form>");
}

static void add_time(struct strbuf *out, const struct page_frame *frame)
{
    struct strbuf time;

    strbuf_init(&time, 64);
    calendar_add_timestamp(&time, frame->now_ms);
    strbuf_addf(out, "<time datetime=\"%s\">", strbuf_text(&time));
    strbuf_add(out, bytes_between(strbuf_bytes(&time), 0, 10));
    strbuf_add_char(out, ' ');
    strbuf_add(out, bytes_between(strbuf_bytes(&time), 11, 19));
    strbuf_addf(out, " UTC</time> <a href=\"%s\">look again</a>", frame->again);
    strbuf_clear(&time);
}

void page_frame_open(struct strbuf *out, const struct page_frame *frame)
{
    strbuf_add_text(out,
                    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    if (frame->title != NULL) {
        html_add(out, bytes_from_text(frame->title));
        strbuf_add_text(out, " · ");
    }
    html_add(out, frame->hostname);
    strbuf_add_text(out, " · postilion</title><meta name=\"viewport\" "
                         "content=\"width=device-width, initial-scale=1\">"
                         "<meta name=\"robots\" content=\"noindex\">"
                         "<link rel=\"icon\" href=\"data:,\"><style>");
    strbuf_add_text(out, STYLE);
    strbuf_add_text(out, "</style></head><body><a class=\"skip\" href=\"#main\">to the "
                         "content</a><header class=\"top\"><div class=\"wrap\">"
                         "<a class=\"brand\" href=\"/\">");
    strbuf_add_text(out, HORN);
    strbuf_add_text(out, "<span>postilion<small>");
    html_add(out, frame->hostname);
    strbuf_add_text(out, "</small></span></a>");
    if (frame->has_trace) {
        add_search(out, frame);
    }
    strbuf_add_text(out, "</div></header><main class=\"wrap\" id=\"main\">"
                         "<div class=\"bar-line\">");
    if (frame->title == NULL) {
        strbuf_add_text(out, "<nav aria-label=\"On this page\"><a href=\"#flow\">Flow</a><a "
                             "href=\"#queue\">Queue</a><a href=\"#authentication\">"
                             "Authentication</a><a href=\"#refusals\">Refusals</a><a "
                             "href=\"#tls\">TLS</a><a href=\"#doctor\">Doctor</a></nav>");
    } else {
        strbuf_add_text(out, "<nav><a href=\"/\">Overview</a></nav>");
    }
    add_time(out, frame);
    strbuf_add_text(out, "</div>");
}

void page_frame_close(struct strbuf *out)
{
    strbuf_add_text(out, "</main><footer><div class=\"wrap\"><p><span>Times are UTC.</span><a "
                         "href=\"/status.json\">status.json</a><a "
                         "href=\"/metrics\">metrics</a></p></div></footer></body></html>\n");
}
