/*
 * Our strict reading beside simdjson's: the same texts are JSON, and they are the same values.
 *
 * The input stands in an event twice, as a value the schema does not know and as the payload of a
 * game state, whose fields are typed. What comes back from jb_event_to_json() is read by simdjson
 * and compared with what simdjson reads in the input.
 *
 * Known differences, none of them of the grammar: simdjson has no numbers beyond 64 bits or the
 * range of doubles, and lists deeper than ours are no event. Of a key that comes twice the last
 * counts.
 */
#include <simdjson.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "jimbot/schema.h"
#include "target.h"

using simdjson::dom::element;
using simdjson::dom::element_type;

static jb_encoder *strict_encoder()
{
    jb_encoder_opts opts;
    jb_encoder *encoder;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = JB_ENCODER_STRICT;
    opts.max_depth = 256;
    require(jb_encoder_create(&opts, &encoder, nullptr) == 0);
    return encoder;
}

static double number_of(element e)
{
    switch (e.type()) {
    case element_type::INT64:
        return double(int64_t(e));
    case element_type::UINT64:
        return double(uint64_t(e));
    default:
        return double(e);
    }
}

static bool is_number(element e)
{
    return e.is_number();
}

static bool is_whole(element e)
{
    return e.type() != element_type::DOUBLE;
}

static bool same_number(element a, element b)
{
    if (is_whole(a) && is_whole(b))
        return a.type() == b.type() &&
               (a.type() == element_type::INT64 ? int64_t(a) == int64_t(b)
                                                : uint64_t(a) == uint64_t(b));
    return number_of(a) == number_of(b);
}

static bool same(element a, element b);

static bool same_list(simdjson::dom::array a, simdjson::dom::array b)
{
    auto at = b.begin();

    for (element e : a) {
        if (at == b.end() || !same(e, *at))
            return false;
        ++at;
    }
    return at == b.end();
}

static std::map<std::string, element> members(simdjson::dom::object o)
{
    std::map<std::string, element> last;

    for (auto field : o)
        last[std::string(field.key)] = field.value;
    return last;
}

static bool same_object(simdjson::dom::object a, simdjson::dom::object b)
{
    auto left = members(a), right = members(b);

    if (left.size() != right.size())
        return false;
    for (const auto &member : left) {
        auto at = right.find(member.first);

        if (at == right.end() || !same(member.second, at->second))
            return false;
    }
    return true;
}

static bool same(element a, element b)
{
    if (is_number(a) || is_number(b))
        return is_number(a) && is_number(b) && same_number(a, b);
    if (a.type() != b.type())
        return false;
    switch (a.type()) {
    case element_type::ARRAY:
        return same_list(a, b);
    case element_type::OBJECT:
        return same_object(a, b);
    case element_type::STRING:
        return std::string_view(a) == std::string_view(b);
    case element_type::BOOL:
        return bool(a) == bool(b);
    default:
        return true;
    }
}

/* Whether some number may be beyond what simdjson has: 19 digits in a row, or an exponent. */
static bool has_wide_number(const std::string &text)
{
    size_t run = 0;

    for (char c : text) {
        if (run != 0 && (c == 'e' || c == 'E'))
            return true;
        run = c >= '0' && c <= '9' ? run + 1 : 0;
        if (run == 19)
            return true;
    }
    return false;
}

static void check(jb_encoder *encoder, const std::string &text)
{
    static simdjson::dom::parser parser, parser_back;
    static char back[8 << 20];
    jb_encoded event;
    element theirs, ours;
    int rc = jb_encoder_json(encoder, text.data(), text.size(), &event, nullptr);
    auto error = parser.parse(text).get(theirs);
    int64_t n;

    if (rc == JB_EEVENT || rc == JB_ETOOBIG || error == simdjson::DEPTH_ERROR)
        return;
    if (error == simdjson::NUMBER_ERROR) {
        require(rc < 0 || has_wide_number(text));
        return;
    }
    require((rc == 0) == (error == simdjson::SUCCESS));
    if (rc < 0)
        return;
    n = jb_event_to_json(event.data, event.len_bytes, back, sizeof back, nullptr);
    require(n >= 2 && size_t(n) <= sizeof back);
    error = parser_back.parse(back, size_t(n)).get(ours);
    if (error ==
        simdjson::NUMBER_ERROR) /* a double whose digits are those of an integer, as it prints */
        return;
    require(error == simdjson::SUCCESS && same(theirs, ours));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static jb_encoder *encoder = strict_encoder();
    std::string value(reinterpret_cast<const char *>(data), size);

    check(encoder, "{\"type\":\"X\",\"zz\":" + value + "}");
    check(encoder, "{\"type\":\"GAME_STATE\",\"payload\":" + value + "}");
    check(encoder, "{\"payload\":" + value + ",\"type\":\"GAME_STATE\"}");
    return 0;
}
