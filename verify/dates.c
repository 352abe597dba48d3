/* Compares the dates of certificates, CRLs and OCSP responses. */
#include "verify/dates.h"

bool date_read(const ASN1_TIME *date, time_t *ret)
{
    struct tm tm;

    if (!date || ASN1_TIME_to_tm(date, &tm) != 1)
        return false;
    *ret = timegm(&tm);
    return true;
}

bool date_is_by(const ASN1_TIME *date, time_t time)
{
    time_t seconds;

    return date_read(date, &seconds) && seconds <= time;
}

bool date_is_from(const ASN1_TIME *date, time_t time)
{
    time_t seconds;

    return date_read(date, &seconds) && seconds >= time;
}
