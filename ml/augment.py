"""What a film may look like on another machine, in other hands: variants for training, and the stress suite that judges.

The classes differ in aspect, framing, sharpness, compression and exposure. Variants are drawn so wide that none of these says anything.
"""
import cv2
import numpy

from preparation import SIDE, STRETCHED, stretch, window


def transform(image, *, zoom=1.0, aspect=1.0, shift=(0.0, 0.0), degrees=0.0, mirrored=False, border=cv2.BORDER_CONSTANT, fill=0):
    """Seen through another frame: `zoom` above 1 comes nearer, `aspect` above 1 makes taller; shifts as parts of the side."""
    side = image.shape[0]
    angle = numpy.deg2rad(degrees)
    turn = numpy.array([[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]])
    scale = numpy.diag([zoom / numpy.sqrt(aspect) * (-1 if mirrored else 1), zoom * numpy.sqrt(aspect)])
    matrix = turn @ scale
    centre = numpy.array([(side - 1) / 2] * 2)
    offset = centre - matrix @ centre + numpy.array(shift) * side
    return cv2.warpAffine(image, numpy.column_stack([matrix, offset]), (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=int(fill))


def tone(image, gamma=1.0, low=0.0, high=1.0):
    """Another exposure; `low` and `high` are where black and white come to lie: below 0 and above 1 they are cut."""
    values = numpy.linspace(0, 1, 256) ** gamma * (high - low) + low
    return cv2.LUT(image, numpy.clip(values * 255 + 0.5, 0, 255).astype(numpy.uint8))


def compress(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1], cv2.IMREAD_GRAYSCALE)


def resample(image, part):
    small = cv2.resize(image, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def blur(image, sigma):
    return cv2.GaussianBlur(image, (0, 0), sigma)


def cover_markers(image, fill=0, size=0.16):
    """Letters and plates stand in the upper corners."""
    image, side = image.copy(), int(image.shape[0] * size)
    image[:side, :side] = fill
    image[:side, -side:] = fill
    return image


def _draw_marker(random, image):
    """A letter or a plate where there was none."""
    side = image.shape[0]
    x, y = random.integers(0, side, 2)
    if random.random() < 0.6:
        cv2.putText(image, str(random.choice(list("RLAP13"))), (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, random.uniform(0.4, 1.3),
                    int(random.integers(180, 256)), int(random.integers(1, 4)))
    else:
        w, h = random.integers(6, side // 5, 2)
        image[y:y + h, x:x + w] = random.choice([0, 255, int(random.integers(0, 256))])


def variant(random: numpy.random.Generator, image: numpy.ndarray, side: int = SIDE) -> numpy.ndarray:
    """A film of STRETCHED as another machine might have made it, prepared for the network."""
    image = image.copy()
    if random.random() < 0.3:  # the markers that are there
        image = cover_markers(image, int(random.choice([0, int(image.mean()), 255])), random.uniform(0.08, 0.2))
    if random.random() < 0.3:
        _draw_marker(random, image)
    image = transform(image, zoom=float(numpy.exp(random.uniform(numpy.log(0.8), numpy.log(1.3)))),
                      aspect=float(numpy.exp(random.uniform(-0.3, 0.3))), shift=random.uniform(-0.08, 0.08, 2),
                      degrees=float(random.normal(0, 6)), mirrored=bool(random.random() < 0.5),
                      border=random.choice([cv2.BORDER_CONSTANT, cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101]),
                      fill=random.choice([0, 0, 20, 255]))
    if random.random() < 0.8:
        image = tone(image, float(numpy.exp(random.uniform(-0.5, 0.5))), random.uniform(-0.12, 0.2), random.uniform(0.8, 1.2))
    if random.random() < 0.15:  # contrast that differs over the film
        image = cv2.createCLAHE(random.uniform(1, 3), (4, 4)).apply(image)
    if random.random() < 0.2:  # exposure that falls off to a side
        ramp = numpy.linspace(random.uniform(0.7, 1), random.uniform(0.7, 1), image.shape[0])
        ramp = ramp[:, None] if random.random() < 0.5 else ramp[None, :]
        image = (image * ramp).astype(numpy.uint8)
    sharpness = random.random()
    if sharpness < 0.25:
        image = blur(image, random.uniform(0.4, 1.6))
    elif sharpness < 0.5:
        image = resample(image, random.uniform(0.4, 0.9))
    elif sharpness < 0.65:
        image = cv2.addWeighted(image, 1.8, blur(image, 1.5), -0.8, 0)
    if random.random() < 0.2:
        noise = random.normal(0, random.uniform(1, 8), image.shape)
        image = numpy.clip(image + noise, 0, 255).astype(numpy.uint8)
    if random.random() < 0.6:
        image = compress(image, random.integers(40, 96))
    return window(stretch(image, side))


# Fixed before the first model was judged. Each takes a film of STRETCHED and gives one.
STRESS = {
    "clean": lambda image: image,
    "blurred, sigma 1.2": lambda image: blur(image, 1.2),
    "half the resolution": lambda image: resample(image, 0.5),
    "sharpened": lambda image: cv2.addWeighted(image, 1.8, blur(image, 1.5), -0.8, 0),
    "JPEG 40": lambda image: compress(image, 40),
    "10 % taller": lambda image: transform(image, zoom=numpy.sqrt(1.1), aspect=1.1),
    "10 % wider": lambda image: transform(image, zoom=numpy.sqrt(1.1), aspect=1 / 1.1),
    "10 % cropped": lambda image: transform(image, zoom=1 / 0.9),
    "10 % farther": lambda image: transform(image, zoom=0.9),
    "gamma 0.7": lambda image: tone(image, 0.7),
    "gamma 1.4": lambda image: tone(image, 1.4),
    "lifted blacks": lambda image: tone(image, 1.0, 0.2, 1.0),
    "turned 10 degrees": lambda image: transform(image, degrees=10),
    "turned -10 degrees": lambda image: transform(image, degrees=-10),
    "markers covered": cover_markers,
}
PERTURBED = [name for name in STRESS if name != "clean"]
assert STRETCHED == 224
