// g++ reports floating-point comparisons to -fsanitize-coverage=trace-cmp; libFuzzer, written for
// clang, does not know the two calls. They carry nothing that helps a parser's fuzzing.
void __sanitizer_cov_trace_cmpf(float a, float b);
void __sanitizer_cov_trace_cmpd(double a, double b);

void __sanitizer_cov_trace_cmpf(float a, float b) {
  (void)a;
  (void)b;
}

void __sanitizer_cov_trace_cmpd(double a, double b) {
  (void)a;
  (void)b;
}
