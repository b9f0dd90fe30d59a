"""The images that are stored and fetched, drawn here: chest X-rays of 2.4 MB, one study each, and a CT of 300 slices of 0.5 MB.

Everything about them is the same from run to run but a number in their UIDs and Patient IDs: what is stored is to be new each time.
"""
import functools
import io

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.999"
CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
SLICES = 300
MARK = "700000"  # stands where the run's number comes: six digits, so that no length changes


class Image:
    """A file, and where it is found."""

    def __init__(self, data, study, series, instance, patient):
        self.data, self.study, self.series, self.instance, self.patient = data, study, series, instance, patient

    def path(self):
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"


def _image(sop_class, study, series, instance, patient, modality, number, pixels, bits):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = sop_class, instance, ExplicitVRLittleEndian
    out = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    out.SpecificCharacterSet, out.SOPClassUID, out.SOPInstanceUID = "ISO_IR 100", sop_class, instance
    out.StudyInstanceUID, out.SeriesInstanceUID, out.PatientID, out.PatientName = study, series, patient, f"Bench^{patient}"
    out.PatientBirthDate, out.PatientSex = "19600101", "O"
    day = sum(map(ord, patient)) * 7919
    out.StudyDate = out.SeriesDate = out.ContentDate = f"2024{1 + day % 12:02}{1 + day % 28:02}"
    out.StudyTime = out.SeriesTime = out.ContentTime = f"{day % 24:02}{day % 60:02}00"
    out.AccessionNumber, out.StudyID, out.SeriesNumber, out.InstanceNumber, out.Modality = "A" + patient[-8:], "1", 1, number, modality
    out.Manufacturer, out.ReferringPhysicianName, out.StudyDescription, out.SeriesDescription = "Bench", "Ref^Doc", "Bench study", "Bench series"
    out.SamplesPerPixel, out.PhotometricInterpretation, out.PixelRepresentation = 1, "MONOCHROME2", 0
    out.Rows, out.Columns = pixels.shape
    out.BitsAllocated, out.BitsStored = bits
    out.HighBit = out.BitsStored - 1
    if modality == "CT":
        out.SliceThickness, out.ImagePositionPatient, out.ImageOrientationPatient, out.PixelSpacing = "1.0", [-180, -180, number], [1, 0, 0, 0, 1, 0], [0.7, 0.7]
        out.RescaleIntercept, out.RescaleSlope = "-1024", "1"
    out.WindowCenter, out.WindowWidth = ("40", "400") if modality == "CT" else ("128", "256")
    out.PixelData = pixels.tobytes()
    out["PixelData"].VR = "OW" if bits[0] == 16 else "OB"
    bytes_ = io.BytesIO()
    pydicom.dcmwrite(bytes_, out, enforce_file_format=True)
    return bytes_.getvalue()


@functools.lru_cache(None)
def _templates(kind, count):
    noise = np.random.RandomState(1)
    if kind == "ct":
        study = f"{ROOT}.{MARK}.1"
        y, x = np.mgrid[-1:1:512j, -1:1:512j]
        out = []
        for number in range(1, SLICES + 1):
            z = (number - 150) / 150
            hu = np.where((x / .85) ** 2 + (y / (.6 + .05 * np.cos(3 * z))) ** 2 < 1, 40.0, -1000.0)
            for side in (-1, 1):
                hu[((x - side * .38) / .28) ** 2 + (y / .4) ** 2 + z * z * .5 < 1] = -850
            hu[(x / .08) ** 2 + ((y - .42) / .08) ** 2 < 1] = 700
            pixels = np.clip(hu + noise.normal(0, 18, hu.shape) + 1024, 0, 4095).astype("<u2")
            out.append((_image(CT, study, study + ".1", f"{study}.1.{number}", f"CT{MARK}", "CT", number, pixels, (16, 12)), study, study + ".1", f"{study}.1.{number}", f"CT{MARK}"))
        return out
    size = (16, 16) if kind == "tiny" else (1600, 1500)
    y, x = np.mgrid[-1:1:size[0] * 1j, -1:1:size[1] * 1j]
    chest = 200 - 120 * (((np.abs(x) - .4) / .28) ** 2 + (y / .7) ** 2 < 1)
    out = []
    for number in range(1, count + 1):
        study, patient = f"{ROOT}.{MARK}.{2 if kind == 'cxr' else 4}.{number}", f"{kind[0].upper()}{MARK}{number:06}"
        pixels = np.clip(chest + noise.normal(0, 9, size) + 20 * np.sin(number * y), 0, 255).astype(np.uint8)
        out.append((_image(CR, study, study + ".1", study + ".1.1", patient, "CR", 1, pixels, (8, 8)), study, study + ".1", study + ".1.1", patient))
    return out


def images(kind, run, count=0):
    """kind: "ct" (a study of 300), "cxr" or "tiny" (count studies of one). run: a number that no other call of this archive has had."""
    number = f"{700000 + run:06}"
    return [Image(data.replace(MARK.encode(), number.encode()), *(text.replace(MARK, number) for text in where))
            for data, *where in _templates(kind, count)]
