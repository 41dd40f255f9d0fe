/*
 * GPUs as a driver reports them: every code and every odd number that a scripted driver can give,
 * with drivers of three ages.
 */
#include "gpus.h"

/* One reading of a driver that says this. */
static int read_once(int level, const char *script)
{
    jb_gpus *gpus = open_gpus(level, script);
    int n = read_gpu(gpus, script);

    jb_gpus_close(gpus);
    return n;
}

/* Which codes say that it will not come back by itself. */
static bool is_final(int code)
{
    return code == 2 || code == 6 || code == 8 || code == 15 || code == 16;
}

START_TEST(test_any_code_for_memory_is_silent_or_lost)
{
    char script[64];

    snprintf(script, sizeof script, "memory=%d memory2=%d c=10:500", codes[_i], codes[_i]);
    ck_assert_int_eq(read_once(3, script), 0);
    ck_assert_uint_eq(gpu.state, is_final(codes[_i]) ? JB_GPU_LOST : JB_GPU_SILENT);
    ck_assert_int_eq(gpu.driver_code, codes[_i]);
    ck_assert_uint_eq(gpu.used_bytes, UINT64_MAX);
}
END_TEST

START_TEST(test_any_code_for_a_handle_is_silent_or_lost)
{
    char script[64];

    snprintf(script, sizeof script, "n=2 handle.0=%d", codes[_i]);
    ck_assert_int_eq(read_once(3, script), 0);
    ck_assert_uint_eq(gpu.state, is_final(codes[_i]) ? JB_GPU_LOST : JB_GPU_SILENT);
    ck_assert_str_eq(gpu.uuid, "");
}
END_TEST

START_TEST(test_any_code_for_the_rest_leaves_the_memory_known)
{
    static const char *const calls[] = {"utilization", "compute", "graphics", "samples"};
    char script[64];

    for (int i = 0; i < 4; i++) {
        snprintf(script, sizeof script, "used=400 busy=30 %s=%d", calls[i], codes[_i]);
        ck_assert_int_eq(read_once(3, script), 0);
        ck_assert_uint_eq(gpu.used_bytes, 400);
        ck_assert_uint_eq(gpu.state, codes[_i] == 15 || codes[_i] == 16 || codes[_i] == 8
                                         ? JB_GPU_LOST
                                         : JB_GPU_FINE);
        ck_assert_uint_eq(gpu.busy_percent, i == 0 ? UINT32_MAX : 30);
    }
}
END_TEST

START_TEST(test_a_list_that_cannot_be_had_is_not_complete)
{
    read_once(3, "compute=4");
    ck_assert_uint_eq(gpu.is_complete, 0);
    read_once(3, "graphics=4");
    ck_assert_uint_eq(gpu.is_complete, 0);
    read_once(3, "graphics=3");
    ck_assert_uint_eq(gpu.is_complete, 1);
    ck_assert_int_eq(read_once(3, "compute=7 need=5000"), 0);
    ck_assert_uint_eq(gpu.is_complete, 0);
    ck_assert_uint_eq(gpu.n_processes, 5000);
}
END_TEST

START_TEST(test_old_drivers_are_read_through_old_names)
{
    ck_assert_int_eq(read_once(_i, "total=900 used=300 c=10:200,11:50"), 2);
    ck_assert_uint_eq(gpu.state, JB_GPU_FINE);
    ck_assert_uint_eq(gpu.total_bytes, 900);
    ck_assert_uint_eq(gpu.used_bytes, 300);
    ck_assert_uint_eq(processes[1].pid, 11);
    ck_assert_uint_eq(processes[1].used_bytes, 50);
    ck_assert_str_eq(gpu.uuid, "GPU-fake-0");
    ck_assert_str_eq(gpu.name, "Scripted GPU");
}
END_TEST

START_TEST(test_a_driver_that_refuses_the_new_struct_is_asked_the_old_way)
{
    read_once(3, "memory2=13 used=300");
    ck_assert_uint_eq(gpu.state, JB_GPU_FINE);
    ck_assert_uint_eq(gpu.used_bytes, 300);
    ck_assert_int_eq(gpu.driver_code, 0);
}
END_TEST

START_TEST(test_processes_of_any_size_are_told_apart)
{
    static const char *const strides[] = {"16", "24", "32"};
    char script[128];

    snprintf(script, sizeof script, "stride=%s c=10:200,11:~,12:50", strides[_i]);
    ck_assert_int_eq(read_once(3, script), 3);
    ck_assert_uint_eq(processes[0].used_bytes, 200);
    ck_assert_uint_eq(processes[1].pid, 11);
    ck_assert_uint_eq(processes[1].used_bytes, UINT64_MAX);
    ck_assert_uint_eq(processes[2].pid, 12);
    ck_assert_uint_eq(processes[2].used_bytes, 50);
    snprintf(script, sizeof script, "stride=%s c=7:70", strides[_i]);
    ck_assert_int_eq(read_once(3, script), 1);
    ck_assert_uint_eq(processes[0].used_bytes, 70);
}
END_TEST

START_TEST(test_a_process_in_two_lists_is_one)
{
    ck_assert_int_eq(read_once(3, "c=10:200,11:50 g=10:200,12:30"), 3);
    ck_assert_uint_eq(processes[0].used_bytes, 200);
    ck_assert_uint_eq(processes[2].pid, 12);
}
END_TEST

START_TEST(test_a_process_on_two_instances_uses_their_sum)
{
    ck_assert_int_eq(read_once(3, "c=10:200,10:50,11:1,11:~"), 2);
    ck_assert_uint_eq(processes[0].used_bytes, 250);
    ck_assert_uint_eq(processes[1].used_bytes, UINT64_MAX);
}
END_TEST

START_TEST(test_a_count_that_is_not_true_reads_nothing_else)
{
    ck_assert_int_le(read_once(3, "c=10:200 claim=4000000000"), ROOM);
    ck_assert_uint_eq(processes[0].pid, 10);
    ck_assert_int_eq(read_once(3, "n=4000000000"), 0);
}
END_TEST

START_TEST(test_contradicting_numbers_leave_less_free)
{
    read_once(1, "total=1000 used=2000 free=400");
    ck_assert_uint_eq(gpu.used_bytes, 1000);
    read_once(1, "total=1000 used=200 free=100");
    ck_assert_uint_eq(gpu.used_bytes, 900);
    read_once(1, "total=1000 used=200 free=5000");
    ck_assert_uint_eq(gpu.used_bytes, 200);
    read_once(1, "total=1000 used=~ free=300");
    ck_assert_uint_eq(gpu.used_bytes, 700);
    read_once(3, "total=1000 used=200 reserved=100");
    ck_assert_uint_eq(gpu.used_bytes, 300);
    read_once(3, "total=1000 used=200 reserved=~ free=800");
    ck_assert_uint_eq(gpu.used_bytes, 200);
}
END_TEST

START_TEST(test_numbers_that_say_nothing_are_silence)
{
    read_once(1, "total=0 used=10");
    ck_assert_uint_eq(gpu.state, JB_GPU_SILENT);
    read_once(1, "total=~ used=10");
    ck_assert_uint_eq(gpu.state, JB_GPU_SILENT);
    read_once(1, "total=1000 used=~ free=~");
    ck_assert_uint_eq(gpu.state, JB_GPU_SILENT);
    ck_assert_uint_eq(gpu.used_bytes, UINT64_MAX);
}
END_TEST

START_TEST(test_how_busy_is_known_or_not)
{
    jb_gpus *gpus = open_gpus(3, "");

    read_gpu(gpus, "busy=101 c=10:1,11:1 s=10:77:40,11:78:300,12:79:5");
    ck_assert_uint_eq(gpu.busy_percent, UINT32_MAX);
    ck_assert_uint_eq(processes[0].busy_percent, 40);
    ck_assert_uint_eq(processes[1].busy_percent, UINT32_MAX);
    ck_assert_uint_eq(gpu.n_processes, 2);
    /* Nothing newer than the last time: no trouble. */
    read_gpu(gpus, "busy=100 c=10:1 s=10:77:40");
    ck_assert_uint_eq(gpu.busy_percent, 100);
    ck_assert_uint_eq(processes[0].busy_percent, UINT32_MAX);
    ck_assert_int_eq(gpu.driver_code, 0);
    jb_gpus_close(gpus);
}
END_TEST

START_TEST(test_text_without_end_is_ended)
{
    read_once(3, "endless=1");
    ck_assert_uint_eq(strlen(gpu.uuid), sizeof gpu.uuid - 1);
}
END_TEST

START_TEST(test_less_room_than_processes_counts_the_rest)
{
    jb_gpus *gpus = open_gpus(3, "c=1:1,2:1,3:1");

    gpu.size = sizeof gpu;
    ck_assert_int_eq(jb_gpus_read(gpus, 0, &gpu, processes, 2), 2);
    ck_assert_uint_eq(gpu.n_processes, 3);
    ck_assert_int_eq(jb_gpus_read(gpus, 0, &gpu, NULL, 2), JB_EINVAL);
    gpu.size = 0;
    ck_assert_int_eq(jb_gpus_read(gpus, 0, &gpu, processes, 2), JB_EINVAL);
    jb_gpus_close(gpus);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpus");
    TCase *tc = suite_case(suite, "gpus");

    tcase_add_loop_test(tc, test_any_code_for_memory_is_silent_or_lost, 0, N_CODES);
    tcase_add_loop_test(tc, test_any_code_for_a_handle_is_silent_or_lost, 0, N_CODES);
    tcase_add_loop_test(tc, test_any_code_for_the_rest_leaves_the_memory_known, 0, N_CODES);
    tcase_add_test(tc, test_a_list_that_cannot_be_had_is_not_complete);
    tcase_add_loop_test(tc, test_old_drivers_are_read_through_old_names, 1, 4);
    tcase_add_test(tc, test_a_driver_that_refuses_the_new_struct_is_asked_the_old_way);
    tcase_add_loop_test(tc, test_processes_of_any_size_are_told_apart, 0, 3);
    tcase_add_test(tc, test_a_process_in_two_lists_is_one);
    tcase_add_test(tc, test_a_process_on_two_instances_uses_their_sum);
    tcase_add_test(tc, test_a_count_that_is_not_true_reads_nothing_else);
    tcase_add_test(tc, test_contradicting_numbers_leave_less_free);
    tcase_add_test(tc, test_numbers_that_say_nothing_are_silence);
    tcase_add_test(tc, test_how_busy_is_known_or_not);
    tcase_add_test(tc, test_text_without_end_is_ended);
    tcase_add_test(tc, test_less_room_than_processes_counts_the_rest);
    return suite_run(suite);
}
