// Prints, for each TIFF, what ImageJ makes of it: slices, unit, voxel edges (z, y, x), and every 7th row's every 5th voxel.

import ij.ImagePlus;
import ij.io.Opener;
import ij.measure.Calibration;
import ij.process.ImageProcessor;
import java.io.PrintStream;

public class ImageJProbe {
    public static void main(String[] files) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (String file : files) {
            ImagePlus image = new Opener().openImage(file);
            Calibration size = image.getCalibration();
            StringBuilder line = new StringBuilder();
            line.append(image.getNSlices()).append('\t').append(size.getUnit());
            line.append('\t').append(size.pixelDepth).append('\t').append(size.pixelHeight);
            line.append('\t').append(size.pixelWidth);
            for (int z = 1; z <= image.getNSlices(); z++) {
                ImageProcessor plane = image.getStack().getProcessor(z);
                for (int y = 0; y < plane.getHeight(); y += 7)
                    for (int x = 0; x < plane.getWidth(); x += 5)
                        line.append('\t').append(plane.getf(x, y));
            }
            out.println(line);
        }
        System.exit(0);
    }
}
