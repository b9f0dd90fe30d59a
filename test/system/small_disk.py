"""A file system of its own for a test: an ext4 in a sparse file, which can fill up and be cut off as by a power cut. Needs root."""
import fcntl
import os
import pathlib
import re
import struct
import subprocess

from harness import missing

CAP_SYS_ADMIN = 21
SHUTDOWN, WITHOUT_FLUSHING_THE_LOG = 0x8004587D, 2   # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH


class SmallDisk:
    def __init__(self, test, mib):
        """Where nobody may mount a disk the test is skipped, and test/run says so."""
        self.image, self.folder = test.folder / "disk.img", test.folder / "disk"
        self.folder.mkdir()
        rights = re.search(r"^CapEff:\s+(\w+)$", pathlib.Path("/proc/self/status").read_text(), re.M)[1]
        if not int(rights, 16) >> CAP_SYS_ADMIN & 1:
            print("NOT TESTED HERE: only root can mount a disk of the test's own", flush=True)
            test.skipTest("only root can mount a disk")
        test.need(missing("mkfs.ext4"))
        with open(self.image, "wb") as file:
            file.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)
        done = subprocess.run(["mount", "-o", "loop", self.image, self.folder], capture_output=True, text=True)
        test.need(f"no loop device: {done.stderr.strip()}" if done.returncode else None)

    def free(self):
        now = os.statvfs(self.folder)
        return now.f_bavail * now.f_frsize

    def fill(self, left, name="ballast"):
        """Takes room until so many bytes are free; blocks are reserved, not written."""
        with open(self.folder / name, "ab") as file:
            while self.free() > left + (1 << 20):
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), self.free() - left)

    def fill_up(self, name="last"):
        """To the last byte that can be written."""
        try:
            with open(self.folder / name, "wb", buffering=0) as file:
                while file.write(b"b" * 4096):
                    pass
        except OSError:
            pass

    def make_room(self):
        for name in ("ballast", "last"):
            (self.folder / name).unlink(missing_ok=True)

    def cut(self):
        """All that was not synced is gone; who still runs gets errors."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(fd)

    def mount_again(self):
        """Requires: nobody has a file open there."""
        subprocess.run(["umount", self.folder], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.folder], check=True)

    def remove(self):
        subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)
