/* replay_main.c - runs a fuzz target on the files of its corpus, without a fuzzer.
 *
 * Why: every crash that a fuzzer found is kept as a file, and every build runs them all. Each file
 *      is also run truncated and with single bits turned, so that a small corpus reaches errors. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#ifndef REPLAY_MUTATES /* 0 for a target that takes long for one input */
#define REPLAY_MUTATES 1
#endif
enum { CUTS_MAX = 64, TURNS_MAX = 256 };

static void run_exactly(const uint8_t *bytes, size_t len)
{
    /* A copy of the exact size lets the sanitizer see a read beyond the end. */
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, bytes, len);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void run_mutated(uint8_t *bytes, size_t len)
{
    run_exactly(bytes, len);
    if (!REPLAY_MUTATES)
        return;
    size_t step = len / CUTS_MAX + 1;
    for (size_t cut = 0; cut < len; cut += step)
        run_exactly(bytes, cut);
    step = len * 8 / TURNS_MAX + 1;
    for (size_t bit = 0; bit < len * 8; bit += step) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        run_exactly(bytes, len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static int run_file(const char *path)
{
    int failed = 1;
    uint8_t *bytes = NULL;
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        goto out;
    long end = ftell(file);
    if (end < 0 || fseek(file, 0, SEEK_SET) != 0)
        goto out;
    size_t len = (size_t)end;
    bytes = malloc(len + 1);
    if (!bytes || fread(bytes, 1, len, file) != len)
        goto out;
    run_mutated(bytes, len);
    failed = 0;
out:
    if (failed)
        fprintf(stderr, "%s: cannot be read\n", path);
    free(bytes);
    if (file)
        (void)fclose(file);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    unsigned files = 0;
    run_exactly(NULL, 0);
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir)
            continue; /* a target without seeds yet has only its empty input */
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            int n = snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            if (n < 0 || (size_t)n >= sizeof(path)) {
                failed = 1;
                continue;
            }
            failed |= run_file(path);
            files++;
        }
        (void)closedir(dir);
    }
    printf("%u files\n", files);
    return failed;
}
