/* What does each way of being malformed mean, in words? */
#include "ikewire/fault.h"

const char *ike_fault_text(IkeFaultCode code)
{
    switch (code) {
    case IKEWIRE_E_TRUNCATED:
        return "it ends before its fixed fields do";
    case IKEWIRE_E_LENGTH:
        return "a length field is below its minimum or beyond what is there";
    case IKEWIRE_E_TRAILING:
        return "octets are left over after the last field or payload";
    case IKEWIRE_E_MAJOR_VERSION:
        return "the major version is above 2";
    case IKEWIRE_E_VERSION:
        return "the major version is below 2";
    case IKEWIRE_E_NEXT_PAYLOAD:
        return "the chain of payloads breaks";
    case IKEWIRE_E_CRITICAL:
        return "an unknown payload is marked critical";
    case IKEWIRE_E_DUPLICATE:
        return "a payload that may stand once stands twice";
    case IKEWIRE_E_TOO_MANY:
        return "there are more elements than are accepted here";
    case IKEWIRE_E_PROPOSAL:
        return "a proposal's number, SPI size, \"last\" marker or transform count is wrong";
    case IKEWIRE_E_TRANSFORM:
        return "a transform's \"last\" marker or attribute is wrong";
    case IKEWIRE_E_TRANSFORM_LENGTH:
        return "a transform is of zero length, or shorter than its fixed fields";
    case IKEWIRE_E_VALUE:
        return "a field has a value that is not allowed there";
    case IKEWIRE_E_SELECTOR:
        return "a traffic selector's type, length or range is wrong";
    case IKEWIRE_E_FRAGMENT:
        return "a fragment's number is 0 or above its total";
    }
    return "unknown fault";
}
