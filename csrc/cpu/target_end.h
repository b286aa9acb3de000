// Closes what target_*.h opened.

#if defined(SEQGRAD_ISA)
#if !defined(__clang__)
#pragma GCC pop_options
#elif defined(__x86_64__) && SEQGRAD_VECTOR_BYTES > 16
#pragma clang attribute pop
#endif
#endif
