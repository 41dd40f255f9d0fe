/**
 * jimbot/jimbot.h: all of the core library: events, their schema, the bus they travel on, and
 * limits of what is shared.
 */
#ifndef JIMBOT_JIMBOT_H
#define JIMBOT_JIMBOT_H

#include "jimbot/base.h"
#include "jimbot/books.h"
#include "jimbot/bus.h"
#include "jimbot/check.h"
#include "jimbot/command.h"
#include "jimbot/event.h"
#include "jimbot/field.h"
#include "jimbot/group.h"
#include "jimbot/items.h"
#include "jimbot/observe.h"
#include "jimbot/quota.h"
#include "jimbot/rate.h"
#include "jimbot/request.h"
#include "jimbot/schema.h"
#include "jimbot/slice.h"
#include "jimbot/stats.h"
#include "jimbot/sub.h"
#include "jimbot/usage.h"
#include "jimbot/view.h"

#endif
