/* Can any octets on the socket pair break tred or tred-tpm, or be read in two ways? */
#include "device/frames.h"

#include "tests/fuzz/roundtrip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(Bytes frame)
{
    static uint8_t buffer[DEVICE_FRAME_SIZE_MAX];
    static DeviceRequest request;
    Writer writer;

    if (device_request_decode(frame, &request) < 0)
        return;
    writer_init(&writer, buffer, sizeof(buffer));
    device_request_encode(&writer, &request);
    check_written(&writer, frame);
}

static void check_answer(Bytes frame)
{
    static uint8_t buffer[DEVICE_FRAME_SIZE_MAX];
    static DeviceAnswer answer;
    Writer writer;

    if (device_answer_decode(frame, &answer) < 0)
        return;
    writer_init(&writer, buffer, sizeof(buffer));
    device_answer_encode(&writer, &answer);
    check_written(&writer, frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > DEVICE_FRAME_SIZE_MAX)
        return 0;
    check_request((Bytes){data, size});
    check_answer((Bytes){data, size});
    return 0;
}
