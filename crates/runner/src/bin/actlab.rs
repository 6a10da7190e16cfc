//! The program: everything is in the library, so that a program with other plugins is as short.

/// Training allocates and frees the same large buffers at every step, which mimalloc is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    runner::main()
}
