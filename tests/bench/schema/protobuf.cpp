/*
 * protobuf.cpp: Google's C++ library on generated classes.
 *
 * Its JSON is its own mapping of the same events: names in camel case, a member for each payload.
 * That text is what it reads back, so its row is to be compared by the time an event takes.
 * Messages to print were parsed before, which ours does while it prints.
 */
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include <google/protobuf/arena.h>
#include <google/protobuf/util/json_util.h>

#include "bench.h"
#include "event.pb.h"

using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageToJsonString;
using jimbot::v1::Event;

static std::deque<Event> messages;
static std::vector<std::string> texts;

static size_t to_json_prepare(const struct set *set)
{
    messages.clear();
    for (size_t i = 0; i < set->n_events; i++) {
        if (!messages.emplace_back().ParseFromArray(set->events[i].data,
                                                    static_cast<int>(set->events[i].len_bytes)))
            die("protobuf refuses an event");
    }
    return set->event_bytes;
}

static void to_json(const struct set *)
{
    for (const Event &message : messages) {
        std::string text;

        if (!MessageToJsonString(message, &text).ok())
            die("protobuf cannot print an event");
    }
}

static size_t from_json_prepare(const struct set *set)
{
    size_t n_bytes = 0;

    to_json_prepare(set);
    texts.clear();
    for (const Event &message : messages) {
        if (!MessageToJsonString(message, &texts.emplace_back()).ok())
            die("protobuf cannot print an event");
        n_bytes += texts.back().size();
    }
    return n_bytes;
}

static void from_json(const struct set *)
{
    for (const std::string &text : texts) {
        Event message;

        if (!JsonStringToMessage(text, &message).ok() || message.SerializeAsString().empty())
            die("protobuf cannot read what it printed");
    }
}

static size_t decode_prepare(const struct set *set)
{
    return set->event_bytes;
}

static uint64_t sum;

static void integer(int64_t value)
{
    sum += static_cast<uint64_t>(value);
}

static void real(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    sum += bits;
}

static void text(const std::string &value)
{
    sum += value.size() + (value.empty() ? 0 : static_cast<uint8_t>(value[0]));
}

#include "touch_protobuf.h"

/* Parse every event into an arena, and give it to `use`. */
template <typename Use> static void parse(const struct set *set, Use use)
{
    static char block[1 << 20];

    for (size_t i = 0; i < set->n_events; i++) {
        google::protobuf::ArenaOptions options;

        options.initial_block = block;
        options.initial_block_size = sizeof block;
        google::protobuf::Arena arena(options);
        Event *event = google::protobuf::Arena::CreateMessage<Event>(&arena);
        if (!event->ParseFromArray(set->events[i].data, static_cast<int>(set->events[i].len_bytes)))
            die("protobuf refuses an event");
        use(*event);
    }
}

static void decode(const struct set *set)
{
    parse(set, [](const Event &) {});
}

static void decode_touch(const struct set *set)
{
    sum = 0;
    parse(set, [](const Event &event) { touch(event); });
    touched(set, sum);
}

extern "C" {
const struct peer protobuf_from_json = {"protobuf C++: JsonStringToMessage", nullptr,
                                        from_json_prepare, from_json};
const struct peer protobuf_to_json = {"protobuf C++: MessageToJsonString", nullptr, to_json_prepare,
                                      to_json};
const struct peer protobuf_decode = {"protobuf C++: parse into an arena", nullptr, decode_prepare,
                                     decode};
const struct peer protobuf_touch = {"protobuf C++: arena, all touched", nullptr, decode_prepare,
                                    decode_touch};
}
