#pragma once
// HDF5 with its macros turned into functions that Swift can import. No decisions, no state.
#include <hdf5.h>
#include <string.h>

// Element types as they lie in memory.
static inline hid_t chdf5_float32(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t chdf5_float64(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t chdf5_int32(void) { return H5T_NATIVE_INT32; }
static inline hid_t chdf5_int64(void) { return H5T_NATIVE_INT64; }
static inline hid_t chdf5_uint8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t chdf5_c_string(void) { return H5T_C_S1; }
static inline size_t chdf5_variable_length(void) { return H5T_VARIABLE; }

// Property list classes and defaults.
static inline hid_t chdf5_default(void) { return H5P_DEFAULT; }
static inline hid_t chdf5_file_creation(void) { return H5P_FILE_CREATE; }
static inline hid_t chdf5_file_access(void) { return H5P_FILE_ACCESS; }
static inline hid_t chdf5_group_creation(void) { return H5P_GROUP_CREATE; }
static inline hid_t chdf5_dataset_creation(void) { return H5P_DATASET_CREATE; }
static inline hid_t chdf5_dataset_transfer(void) { return H5P_DATASET_XFER; }
static inline hid_t chdf5_all(void) { return H5S_ALL; }

// File access flags.
static inline unsigned chdf5_read_only(void) { return H5F_ACC_RDONLY; }
static inline unsigned chdf5_read_write(void) { return H5F_ACC_RDWR; }
static inline unsigned chdf5_truncate(void) { return H5F_ACC_TRUNC; }

// Stops the library from printing its error stack.
static inline herr_t chdf5_silence(void) { return H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

// Lets the file be opened through MPI-IO; `communicator` is the MPI_Comm handle.
static inline herr_t chdf5_use_mpio(hid_t access, void *communicator) {
  return H5Pset_fapl_mpio(access, (MPI_Comm)communicator, MPI_INFO_NULL);
}

static inline herr_t chdf5_collective_transfer(hid_t transfer) {
  return H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
}

static inline herr_t chdf5_keep_innermost(unsigned n, const H5E_error2_t *entry, void *text) {
  if (n == 0 && entry->desc) {
    strncpy((char *)text, entry->desc, 255);
    ((char *)text)[255] = 0;
  }
  return 0;
}

// Copies the innermost text of the error stack into `text` of 256 bytes and clears the stack.
static inline void chdf5_take_error(char *text) {
  text[0] = 0;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, chdf5_keep_innermost, text);
  H5Eclear2(H5E_DEFAULT);
}

// The number of attributes of an object, or -1.
static inline int chdf5_attribute_count(hid_t object) {
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  return H5Oget_info3(object, &info, H5O_INFO_NUM_ATTRS) < 0 ? -1 : (int)info.num_attrs;
#else
  H5O_info_t info;
  return H5Oget_info(object, &info) < 0 ? -1 : (int)info.num_attrs;
#endif
}

// fallocate(2), which the Swift overlay of glibc lacks; the C library's posix_fallocate writes every block instead
// where the file system cannot.
extern int fallocate(int file, int mode, off_t start, off_t length);
static inline int chdf5_allocate(int file, off_t length) { return fallocate(file, 0, 0, length); }
