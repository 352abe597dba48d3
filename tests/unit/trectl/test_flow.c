/* The last exchange, drawn. */
#include "trectl/flow.h"

#include "base/cleanup.h"
#include "trectl/busjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char two_steps[] =
    "[[1795714765278526, 4698, 1, \"IKE_SA_INIT request\", \"henb.example\", \"segw.example\","
    "  \"KE ECP_256\"],"
    " [1795714765327364, 53553, 4, \"SeGW's check of us\", \"segw.example\", \"\", \"accepted\"],"
    " [1795714765327364, 53600, 5, \"IKE_AUTH response\", \"segw.example\", \"henb.example\","
    "  \"a & <b>\"],"
    " [1795714765342784, 68973, 6, \"TrE's check of the SeGW\", \"henb.example\", \"\", "
    "\"verified\"]]";

static char *drawn(void (*draw)(FILE *stream, json_object *steps), const char *json)
{
    _cleanup_(json_object_putp) json_object *steps = json_tokener_parse(json);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    draw(stream, steps);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void the_ladder_has_a_rung_for_each_step_with_its_way_and_time(void **state)
{
    _cleanup_(free_charp) char *text = drawn(flow_print, two_steps);
    (void)state;

    assert_string_equal(
        text, "  2026-11-26 17:39:25 UTC\n\n"
              "  HeNB                                                              SeGW\n"
              "  henb.example                                              segw.example\n"
              "  |-- 1  IKE_SA_INIT request ----------------------------------------->|  +4.7 ms\n"
              "  |      KE ECP_256                                                    |\n"
              "  |   4  SeGW's check of us (SeGW)                                     |  +53.6 ms\n"
              "  |      accepted                                                      |\n"
              "  |<- 5  IKE_AUTH response --------------------------------------------|  +53.6 ms\n"
              "  |      a & <b>                                                       |\n"
              "  |   6  TrE's check of the SeGW (HeNB)                                |  +69.0 ms\n"
              "  |      verified                                                      |\n");
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    while ((text = strstr(text, part)) != NULL) {
        n++;
        text++;
    }
    return n;
}

static void the_diagram_has_an_arrow_a_box_and_a_number_for_each(void **state)
{
    _cleanup_(free_charp) char *text = drawn(flow_svg, two_steps);
    (void)state;

    assert_int_equal(count(text, "class=\"arrow\""), 2);
    assert_int_equal(count(text, "class=\"box\""), 2);
    assert_int_equal(count(text, "class=\"disc\""), 4);
    assert_non_null(strstr(text, ">4</text>"));
    assert_non_null(strstr(text, ">+69.0 ms</text>"));
    assert_non_null(strstr(text, "</svg>\n"));
}

/* Parts of it may be the SeGW's words. */
static void what_is_markup_in_a_step_is_text_in_the_diagram(void **state)
{
    _cleanup_(free_charp) char *text = drawn(flow_svg, two_steps);
    (void)state;

    assert_non_null(strstr(text, ">a &amp; &lt;b&gt;</text>"));
    assert_null(strstr(text, "<b>"));
}

static void each_step_is_an_object_whose_members_have_names(void **state)
{
    _cleanup_(free_charp) char *text = drawn(flow_json, two_steps);
    _cleanup_(json_object_putp) json_object *array = json_tokener_parse(text);
    (void)state;

    assert_int_equal(json_count(array), 4);
    json_object *step = json_item(array, 1);
    assert_int_equal(json_number(step, "Time"), 1795714765327364);
    assert_int_equal(json_number(step, "Elapsed"), 53553);
    assert_int_equal(json_number(step, "Step"), 4);
    assert_string_equal(json_text(step, "Name"), "SeGW's check of us");
    assert_string_equal(json_text(step, "From"), "segw.example");
    assert_string_equal(json_text(step, "To"), "");
    assert_string_equal(json_text(step, "Details"), "accepted");
}

static void nonsense_is_drawn_as_nothing(void **state)
{
    static const char *const odd[] = {"[]",    "[[]]", "[[1]]", "{}", "7", "[[1,2,3,4,5,6,7]]",
                                      "[null]"};
    (void)state;

    for (size_t i = 0; i < ELEMENTS(odd); i++) {
        _cleanup_(free_charp) char *ladder = drawn(flow_print, odd[i]);
        _cleanup_(free_charp) char *diagram = drawn(flow_svg, odd[i]);

        _cleanup_(free_charp) char *json = drawn(flow_json, odd[i]);

        assert_int_equal(json[0], '[');
        assert_non_null(strstr(ladder, "HeNB"));
        assert_non_null(strstr(diagram, "</svg>"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ladder_has_a_rung_for_each_step_with_its_way_and_time),
        cmocka_unit_test(the_diagram_has_an_arrow_a_box_and_a_number_for_each),
        cmocka_unit_test(what_is_markup_in_a_step_is_text_in_the_diagram),
        cmocka_unit_test(each_step_is_an_object_whose_members_have_names),
        cmocka_unit_test(nonsense_is_drawn_as_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
