// Prints, for each TIFF, what Bio-Formats makes of it: lengths along z, c, t, type, voxel edges in µm (z, y, x), and every
// 7th row's every 5th voxel.

import java.io.PrintStream;
import java.lang.reflect.Array;
import loci.common.DebugTools;
import loci.common.DataTools;
import loci.common.services.ServiceFactory;
import loci.formats.FormatTools;
import loci.formats.ImageReader;
import loci.formats.meta.IMetadata;
import loci.formats.services.OMEXMLService;
import ome.units.UNITS;
import ome.units.quantity.Length;

public class BioFormatsProbe {
    public static void main(String[] files) throws Exception {
        DebugTools.setRootLevel("ERROR");
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (String file : files) {
            IMetadata metadata = new ServiceFactory().getInstance(OMEXMLService.class).createOMEXMLMetadata();
            try (ImageReader reader = new ImageReader()) {
                reader.setMetadataStore(metadata);
                reader.setId(file);
                StringBuilder line = new StringBuilder();
                line.append(reader.getSizeZ()).append('\t').append(reader.getSizeC()).append('\t').append(reader.getSizeT());
                line.append('\t').append(FormatTools.getPixelTypeString(reader.getPixelType()));
                line.append('\t').append(micrometres(metadata.getPixelsPhysicalSizeZ(0)));
                line.append('\t').append(micrometres(metadata.getPixelsPhysicalSizeY(0)));
                line.append('\t').append(micrometres(metadata.getPixelsPhysicalSizeX(0)));
                for (int z = 0; z < reader.getSizeZ(); z++) {
                    Object plane = plane(reader, reader.getIndex(z, 0, 0));
                    for (int y = 0; y < reader.getSizeY(); y += 7)
                        for (int x = 0; x < reader.getSizeX(); x += 5)
                            line.append('\t').append(voxel(plane, y * reader.getSizeX() + x));
                }
                out.println(line);
            }
        }
    }

    private static String micrometres(Length length) {
        return length == null ? "unknown" : String.valueOf(length.value(UNITS.MICROMETER).doubleValue());
    }

    private static Object plane(ImageReader reader, int number) throws Exception {
        int type = reader.getPixelType();
        byte[] bytes = reader.openBytes(number);
        return DataTools.makeDataArray(
            bytes, FormatTools.getBytesPerPixel(type), FormatTools.isFloatingPoint(type), reader.isLittleEndian());
    }

    // Whole numbers are unsigned here: labels.
    private static double voxel(Object plane, int at) {
        if (plane instanceof byte[]) return ((byte[]) plane)[at] & 0xFF;
        if (plane instanceof short[]) return ((short[]) plane)[at] & 0xFFFF;
        if (plane instanceof int[]) return ((int[]) plane)[at] & 0xFFFFFFFFL;
        return ((Number) Array.get(plane, at)).doubleValue();
    }
}
