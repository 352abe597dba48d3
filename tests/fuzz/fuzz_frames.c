/* Can any octets on the socket pair break tred or tred-verify, or be read in two ways? */
#include "verify/frames.h"

#include "tests/fuzz/roundtrip.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(Bytes frame)
{
    static uint8_t buffer[FRAME_SIZE_MAX];
    static VerifyRequest request;
    Writer writer;

    if (verify_request_decode(frame, &request) < 0)
        return;
    writer_init(&writer, buffer, sizeof(buffer));
    verify_request_encode(&writer, &request);
    check_written(&writer, frame);
}

static void check_answer(Bytes frame)
{
    static uint8_t buffer[FRAME_SIZE_MAX];
    static VerifyAnswer answer;
    Reason sentence;
    Writer writer;

    if (verify_answer_decode(frame, &answer) < 0)
        return;
    writer_init(&writer, buffer, sizeof(buffer));
    verify_answer_encode(&writer, &answer);
    check_written(&writer, frame);
    if (answer.type == FRAME_PEER && answer.error == 0 && !answer.verdict.taken)
        peer_check_sentence(&answer.verdict.refusal, &sentence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > FRAME_SIZE_MAX)
        return 0;
    check_request((Bytes){data, size});
    check_answer((Bytes){data, size});
    return 0;
}
