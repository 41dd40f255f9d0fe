// grpc_peer: the C++ gRPC server that ours is measured against: the same methods by libgrpc++ and
// libprotobuf, on one completion queue and one thread, with many calls asked for in advance: the
// fastest way that library has on one core. It parses each request, looks at every event of it and
// answers; it has no bus to put them on.
//
//     grpc_peer ADDRESS:PORT
#include "event_bus.grpc.pb.h"

#include <grpcpp/grpcpp.h>

namespace {

using jimbot::v1::EventBus;

constexpr int kCallsInAdvance = 256;

// One event of the queue has its tag: a call and what it waited for.
class Call {
  public:
    virtual ~Call() = default;
    virtual void Proceed(bool ok) = 0;
};

bool IsGood(const jimbot::v1::OutgoingEvent &outgoing) {
    return outgoing.has_event() && outgoing.event().type() != 0;
}

class Unary final : public Call {
  public:
    Unary(EventBus::AsyncService *service, grpc::ServerCompletionQueue *queue)
        : service_(service), queue_(queue), answer_(&context_) {
        service_->RequestPublish(&context_, &request_, &answer_, queue_, queue_, this);
    }

    void Proceed(bool ok) override {
        if (!ok || is_answered_) {
            delete this;
            return;
        }
        new Unary(service_, queue_);
        for (const auto &event : request_.events())
            response_.add_results()->set_outcome(IsGood(event)
                                                     ? jimbot::v1::PUBLISH_OUTCOME_ACCEPTED
                                                     : jimbot::v1::PUBLISH_OUTCOME_INVALID);
        is_answered_ = true;
        answer_.Finish(response_, grpc::Status::OK, this);
    }

  private:
    EventBus::AsyncService *service_;
    grpc::ServerCompletionQueue *queue_;
    grpc::ServerContext context_;
    jimbot::v1::PublishRequest request_;
    jimbot::v1::PublishResponse response_;
    grpc::ServerAsyncResponseWriter<jimbot::v1::PublishResponse> answer_;
    bool is_answered_ = false;
};

class Many final : public Call {
  public:
    Many(EventBus::AsyncService *service, grpc::ServerCompletionQueue *queue)
        : service_(service), queue_(queue), reader_(&context_) {
        service_->RequestPublishMany(&context_, &reader_, queue_, queue_, this);
    }

    void Proceed(bool ok) override {
        if (is_answered_ || (!is_begun_ && !ok)) {
            delete this;
            return;
        }
        if (!is_begun_) {
            is_begun_ = true;
            new Many(service_, queue_);
        } else if (!ok) {
            response_.set_n_accepted(n_accepted_);
            is_answered_ = true;
            reader_.Finish(response_, grpc::Status::OK, this);
            return;
        } else {
            for (const auto &event : request_.events())
                n_accepted_ += IsGood(event);
        }
        reader_.Read(&request_, this);
    }

  private:
    EventBus::AsyncService *service_;
    grpc::ServerCompletionQueue *queue_;
    grpc::ServerContext context_;
    jimbot::v1::PublishManyRequest request_;
    jimbot::v1::PublishManyResponse response_;
    grpc::ServerAsyncReader<jimbot::v1::PublishManyResponse, jimbot::v1::PublishManyRequest>
        reader_;
    uint64_t n_accepted_ = 0;
    bool is_begun_ = false;
    bool is_answered_ = false;
};

} // namespace

int main(int argc, char **argv) {
    EventBus::AsyncService service;
    grpc::ServerBuilder builder;
    void *tag;
    bool ok;

    if (argc != 2)
        return 2;
    builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    auto queue = builder.AddCompletionQueue();
    auto server = builder.BuildAndStart();
    if (!server)
        return 1;
    for (int i = 0; i < kCallsInAdvance; i++)
        new Unary(&service, queue.get());
    new Many(&service, queue.get());
    while (queue->Next(&tag, &ok))
        static_cast<Call *>(tag)->Proceed(ok);
    return 0;
}
