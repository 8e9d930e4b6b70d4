# toolchain.cmake: Debian's cross compiler for aarch64; programs run under qemu-user. Use: run.sh beside this file, or
#   cmake -S . -B build/aarch64 -G Ninja -DCMAKE_TOOLCHAIN_FILE=tests/aarch64/toolchain.cmake -DLORAC_LIBRARIES=OFF
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
# Packages that run.sh unpacks beside what it builds; never the libraries of this machine.
set(CMAKE_FIND_ROOT_PATH ${CMAKE_BINARY_DIR}/packages /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
