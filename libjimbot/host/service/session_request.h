/*
 * session_request: a SessionRequest as it was read, from protobuf or from JSON.
 *
 * Invariant: slices point into the message or into `root`; both outlive the request. The events of
 * a publish have been added to the service's publish, which nobody else touches meanwhile.
 */
#ifndef JBI_HOST_SESSION_REQUEST_H
#define JBI_HOST_SESSION_REQUEST_H

#include "host/service/messages.h"
#include "jimbot/command.h"

struct jbi_service;

/* Numbers of the fields of SessionRequest. */
enum jbi_session_step {
    JBI_STEP_NONE = 0,
    JBI_STEP_SUBSCRIBE = 2,
    JBI_STEP_UNSUBSCRIBE = 3,
    JBI_STEP_PUBLISH = 4,
    JBI_STEP_ACK = 5,
    JBI_STEP_COMMAND = 6,
    JBI_STEP_PING = 7
};

typedef struct jbi_session_req {
    uint64_t request_id;
    uint64_t sequence; /* of an ack */
    void *root;        /* json_t, what JSON was read into; NULL none */
    uint32_t step;     /* enum jbi_session_step */
    uint32_t subscription_id;
    uint32_t max_unacked;
    uint32_t dialect; /* enum jb_dialect, of events in JSON */
    bool is_all_or_none;
    jbi_slice payload; /* of a ping */
    char problem[256]; /* what is wrong, when the reader returns false */
    jb_command command;
    jbi_msg_subscribe subscribe;
    char decoded[64]; /* a ping's payload that came in base64 */
} jbi_session_req;

/* Read a message. False when it is none: `problem` says why, request_id is set if it was found. */
bool jbi_session_read_proto(struct jbi_service *s, jbi_slice message, jbi_session_req *ret);
bool jbi_session_read_json(struct jbi_service *s, jbi_slice message, jbi_session_req *ret);

/* Free what reading took. */
void jbi_session_req_fini(jbi_session_req *r);

#endif
