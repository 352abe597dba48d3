/* How is a judgement shown? */
#include "trectl/check_peer_print.h"

#include "base/reason.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

static const char *const words[] = {
    [PEER_CHECK_NOT_REACHED] = "not reached",
    [PEER_CHECK_PASSED] = "pass",
    [PEER_CHECK_FAILED] = "FAIL",
    [PEER_CHECK_SKIPPED] = "not asked",
};

/* The names of JSON: stable, for programs. */
static const char *const results[] = {
    [PEER_CHECK_NOT_REACHED] = "not-reached",
    [PEER_CHECK_PASSED] = "passed",
    [PEER_CHECK_FAILED] = "failed",
    [PEER_CHECK_SKIPPED] = "skipped",
};

static void check_print(const PeerCheck *check)
{
    (void)printf("%-12s %-24s %s\n", words[check->state], check->name, check->clause);
    if (check->state == PEER_CHECK_PASSED && check->note[0] != '\0')
        (void)printf("    rests on:    %s\n", check->note);
    if (check->state != PEER_CHECK_FAILED)
        return;
    if (check->subject[0] != '\0')
        (void)printf("    certificate: %s\n", check->subject);
    (void)printf("    field:       %s\n    found:       %s\n    expected:    %s\n", check->field,
                 check->found, check->expected);
}

static void report_print(const PeerReport *report)
{
    Reason sentence;

    for (size_t i = 0; i < report->n_checks; i++)
        check_print(&report->checks[i]);
    if (!report->refusal) {
        (void)puts("\nAccepted");
        return;
    }
    peer_check_sentence(report->refusal, &sentence);
    (void)printf("\nRefused. %s\n", sentence.text);
}

static bool text_add(json_object *object, const char *key, const char *text)
{
    return text[0] == '\0' ||
           json_object_object_add(object, key, json_object_new_string(text)) == 0;
}

static json_object *check_to_json(const PeerCheck *check)
{
    json_object *object = json_object_new_object();
    Reason sentence;
    bool good;

    if (!object)
        return NULL;
    good = text_add(object, "name", check->name) && text_add(object, "clause", check->clause) &&
           text_add(object, "result", results[check->state]) &&
           text_add(object, "note", check->state == PEER_CHECK_PASSED ? check->note : "");
    if (good && check->state == PEER_CHECK_FAILED) {
        peer_check_sentence(check, &sentence);
        good = text_add(object, "certificate", check->subject) &&
               text_add(object, "field", check->field) && text_add(object, "found", check->found) &&
               text_add(object, "expected", check->expected) &&
               text_add(object, "sentence", sentence.text);
    }
    if (good)
        return object;
    json_object_put(object);
    return NULL;
}

static int json_fill(const PeerReport *report, json_object *object)
{
    json_object *checks = json_object_new_array();

    if (!checks)
        return -ENOMEM;
    (void)json_object_object_add(object, "accepted", json_object_new_boolean(!report->refusal));
    if (report->refusal) {
        (void)text_add(object, "refusal", report->refusal->name);
    } else {
        (void)json_object_object_add(object, "expires", json_object_new_int64(report->expires));
    }
    (void)json_object_object_add(object, "checks", checks);
    for (size_t i = 0; i < report->n_checks; i++) {
        json_object *check = check_to_json(&report->checks[i]);

        if (!check || json_object_array_add(checks, check) < 0)
            return -ENOMEM;
    }
    return 0;
}

int check_peer_print(const PeerReport *report, bool json)
{
    json_object *object;
    int r;

    if (!json) {
        report_print(report);
        return 0;
    }
    object = json_object_new_object();
    if (!object)
        return -ENOMEM;
    r = json_fill(report, object);
    if (r == 0) {
        (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(object);
    return r;
}

void check_peer_print_problem(const Reason *reason)
{
    json_object *object = json_object_new_object();

    if (object && text_add(object, "error", reason->text)) {
        (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(object);
}
