/*
 * options_help.h: what `jimbotctl --help` prints.
 *
 * Invariant: every command and every option of options.c stands here; a test compares the two.
 */
#ifndef JIMBOTCTL_OPTIONS_HELP_H
#define JIMBOTCTL_OPTIONS_HELP_H

static const char help_text[] =
    "usage: jimbotctl [--bus NAME] COMMAND [option...] [argument...]\n"
    "\n"
    "Shows what happens on a bus while it runs. It creates no bus, and publishers never wait for\n"
    "it unless it asks for that. It is a peer itself, and is shown as \"this\".\n"
    "\n"
    "COMMANDS\n"
    "  top              a live screen: rates, lags, how full the ring is; q ends it\n"
    "  stat             the figures of the bus, once\n"
    "  peers            who has the bus open and what each has published\n"
    "  subs             the subscriptions and how far each is behind\n"
    "  groups           the consumer groups: their workers, what is not acknowledged and who\n"
    "                   has the oldest of it\n"
    "  tail PATTERN...  print events as they come, one a line. In a pattern * is one token\n"
    "                   and > at the end is one or more: game.money.changed, game.*.changed\n"
    "  pub [EVENT...]   publish JSON events: the arguments, or else the lines of standard\n"
    "                   input\n"
    "  check [NAME...]  examine buses without joining them, also those that nobody uses any\n"
    "                   more; without names, all of this user. A name with a slash is a file\n"
    "\n"
    "OPTIONS\n"
    "  -b, --bus NAME          name of the bus, or its file (anything with a slash); default\n"
    "                          $JIMBOT_BUS, else jimbot\n"
    "  --json                  stat, peers, subs, groups: one line of JSON. tail: the bare\n"
    "                          events, one a line, as pub reads them\n"
    "  -n, --count COUNT       tail: end after so many events. top: after so many screens\n"
    "  -i, --interval SECONDS  top: time between two screens; default 1, at least 0.1\n"
    "  --from oldest|now       tail: begin with what is still in the ring, or with what comes\n"
    "                          next (default)\n"
    "  --latest                tail: never hold a publisher back; say what was missed (default)\n"
    "  --lossless              tail: see every event; publishers wait when this falls behind\n"
    "  --topic TOPIC           pub: publish on this topic, not on the one the event belongs on\n"
    "  --raw                   pub: standard input is one event that is protobuf already\n"
    "  --timeout SECONDS       pub: how long to wait for room for one event; default 5\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "What comes from the bus is printed so that it cannot steer the terminal: bytes that are not\n"
    "printable text appear as \\x1b and the like, in JSON as \\u001b.\n"
    "\n"
    "EXIT CODES\n"
    "  0 done, 1 something failed or (check) is damaged, 2 there is no such bus, 64 wrong usage\n"
    "\n"
    "EXAMPLES\n"
    "  jimbotctl top\n"
    "  jimbotctl --bus jimbot stat --json\n"
    "  jimbotctl tail --from oldest 'game.>'\n"
    "  jimbotctl tail --json '>' >events.ndjson\n"
    "  jimbotctl pub <events.ndjson\n";

#endif
