import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.net.InetSocketAddress;
import java.util.List;

/** Runs a server that speaks MongoDB's protocol at a port, until it is ended. */
class Server {
    /** The version that the server says it is: present drivers talk to none that is older than 4.4. */
    static final MongoVersion VERSION = new MongoVersion() {
        @Override
        public int getWireVersion() {
            return 9;
        }

        @Override
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }
    };

    public static void main(String[] args) throws InterruptedException {
        MemoryBackend backend = new MemoryBackend();
        backend.version(VERSION);
        new MongoServer(backend).bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
        Thread.currentThread().join();
    }
}
