// Times prefill and decode of a GGUF model with llama.cpp, by the wall and by the processor.
// rival MODEL THREADS PREFILL... DECODE     prints one line of JSON a measurement
#include "llama.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

static double wall() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

static double processor() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void quiet(ggml_log_level, const char *, void *) {}

static void feed(llama_context * context, llama_token * tokens, int count) {
    if (llama_decode(context, llama_batch_get_one(tokens, count)) != 0) {
        std::fprintf(stderr, "llama_decode failed\n");
        std::exit(1);
    }
    llama_synchronize(context);
}

static void report(const char * what, int tokens, double w, double p) {
    std::printf("{\"what\":\"%s\",\"tokens\":%d,\"wall\":%.6f,\"processor\":%.6f}\n", what, tokens,
                wall() - w, processor() - p);
}

int main(int argc, char ** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "rival MODEL THREADS PREFILL... DECODE\n");
        return 2;
    }
    llama_log_set(quiet, nullptr);
    llama_backend_init();
    double w = wall(), p = processor();
    llama_model_params model_params = llama_model_default_params();
    llama_model * model = llama_model_load_from_file(argv[1], model_params);
    if (!model) {
        std::fprintf(stderr, "cannot load %s\n", argv[1]);
        return 1;
    }
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 2048;
    params.n_batch = 2048;
    params.n_threads = params.n_threads_batch = std::atoi(argv[2]);
    llama_context * context = llama_init_from_model(model, params);
    report("open", 0, w, p);
    int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    std::vector<llama_token> tokens(2048);
    for (auto & token : tokens) token = 1 + std::rand() % (vocabulary - 1);
    feed(context, tokens.data(), 8);
    for (int i = 3; i + 1 < argc; i++) {
        int count = std::atoi(argv[i]);
        llama_memory_clear(llama_get_memory(context), true);
        w = wall(), p = processor();
        feed(context, tokens.data(), count);
        report("prefill", count, w, p);
    }
    int count = std::atoi(argv[argc - 1]);
    w = wall(), p = processor();
    for (int i = 0; i < count; i++) feed(context, &tokens[i], 1);
    report("decode", count, w, p);
    if (FILE * status = std::fopen("/proc/self/status", "r")) {
        char line[256];
        long peak;
        while (std::fgets(line, sizeof line, status))
            if (std::sscanf(line, "VmHWM: %ld kB", &peak) == 1)
                std::printf("{\"what\":\"peak\",\"megabytes\":%ld}\n", peak / 1000);
        std::fclose(status);
    }
    return 0;
}
